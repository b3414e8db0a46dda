"""`dopsd draw`: one prompt from several noises, with and without tuned weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from dopsd import backbones
from dopsd.backbones.base import Backbone
from dopsd.commands.gallery import show
from dopsd.commands.measure import processes
from dopsd.config.preset import Preset
from dopsd.evaluation import drawing
from dopsd.support.errors import UserError, printable
from dopsd.support.seeds import stream
from dopsd.training import lora as adapter
from dopsd.training import texts
from dopsd.training.weights import WHOLE, put


def opened(preset: Preset, prompts: Sequence[tuple[str, str]], weights: Path | None) -> Backbone:
    """The preset's model, its transformer not yet, after it was said which prompts are longer than what it reads.

    prompts: where each stands, and its text. weights: a folder, to be put on it later. UserError where the model does not
    know a word, or where the weights are damaged.
    """
    model = backbones.load(preset.backbone)
    for where, prompt in prompts:
        try:
            drawing.check_words(model.tokenizer, prompt)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
    if weights and not (weights / WHOLE).exists():
        adapter.read(weights)
    if processes(preset.backbone).is_main_process:
        for line in texts.cut(model, [prompt for _, prompt in prompts]):
            print(printable(f"cut: {line}"))
    return model


def draw(
    preset: Preset,
    prompt: str,
    lora: Path | None,
    nfe: Sequence[int] | None,
    pictures: int,
    size: int | None,
    seed: int,
    out: Path,
) -> None:
    """Write a figure with a row a model and number of steps: the untouched model, and the one with the weights of `lora`.

    nfe: steps; None, like size (pixels a side): the preset's. All rows share the prompt and the noise. UserError as `opened`.
    """
    steps, side = nfe or [preset.tune.nfe], size or preset.tune.size
    model = opened(preset, [("PROMPT", prompt)], lora)
    contexts = model.context([prompt]) * pictures
    model.free_encoders()
    noise = torch.randn(pictures, *model.latent_shape(side, side), generator=stream("draw", seed))
    rows = {}

    def add(who: str) -> None:
        for n in steps:
            rows[f"{who}, {n} NFE"] = drawing.draw(
                model, contexts, noise, n, batch_size=8 if side < 256 else 1, what=who
            )

    add("untouched")
    if lora:
        put(model, lora)
        add(lora.name)
    show(rows, tuple([prompt] + [""] * (pictures - 1)), out)
