"""`dopsd draw`: one prompt from several noises, with and without tuned weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from dopsd import backbones
from dopsd.commands.gallery import show
from dopsd.config.preset import Preset
from dopsd.evaluation import drawing
from dopsd.support.errors import printable
from dopsd.support.seeds import stream
from dopsd.training import lora as adapter
from dopsd.training import texts
from dopsd.training.weights import WHOLE, put


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

    nfe: steps; None, like size (pixels a side): the preset's. All rows share the prompt and the noise. A prompt that is
    longer than what the model reads is said, and weights that are damaged before anything is drawn.
    """
    steps, side = nfe or [preset.tune.nfe], size or preset.tune.size
    model = backbones.load(preset.backbone)
    drawing.check_words(model.tokenizer, prompt)
    if lora and not (lora / WHOLE).exists():
        adapter.read(lora)
    for line in texts.cut(model, [prompt]):
        print(printable(f"cut: {line}"))
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
