"""`dopsd tune`: from a folder of pictures to a LoRA that other tools open."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from torch import Tensor

from dopsd import backbones, objectives
from dopsd.backbones.base import Backbone
from dopsd.backbones.hub import has_random_weights
from dopsd.commands import measure
from dopsd.commands.export import export
from dopsd.config.preset import Preset
from dopsd.evaluation.drawing import check_words, draw
from dopsd.method.context import Context
from dopsd.report.card import write_card
from dopsd.report.grids import picture_grid, save
from dopsd.sets.items import Item
from dopsd.sets.listing import mark
from dopsd.support.errors import UserError
from dopsd.support.files import read_json, replace
from dopsd.support.pictures import to_bytes
from dopsd.support.seeds import stream
from dopsd.support.text import slug
from dopsd.training.encoded import Encoded
from dopsd.training.loop import Preview, train
from dopsd.training.results import LOG_FILE
from dopsd.training.weights import WHOLE, put

PREVIEW = 320  # pixels a side of a picture in previews and galleries


@dataclass(frozen=True)
class Gallery:
    """Prompts with their noise, encoded once: the same pictures again and again, as inference draws them."""

    prompts: tuple[str, ...]
    contexts: Context
    noise: Tensor
    nfe: int

    @classmethod
    def of(cls, backbone: Backbone, prompts: tuple[str, ...], size: int, nfe: int, seed: int) -> Gallery:
        """size: pixels a side."""
        for prompt in prompts:
            check_words(backbone.text[0], prompt)
        noise = torch.randn(len(prompts), *backbone.latent_shape(size, size), generator=stream("gallery", seed))
        return cls(prompts, backbone.context(prompts), noise, nfe)

    def drawn(self, backbone: Backbone) -> Tensor:
        """Pictures (prompts, 3, H, W) in [-1, 1] under the weights that are active."""
        return draw(backbone, self.contexts, self.noise, self.nfe, batch_size=1)


def show(rows: dict[str, Tensor], columns: tuple[str, ...], file: Path) -> None:
    """Rows of pictures (n, 3, H, W) in [-1, 1] with their names, a column a prompt, as a figure in a file."""
    side = next(iter(rows.values())).shape[-1]
    tiles = [[to_bytes(image).permute(1, 2, 0).numpy() for image in images] for images in rows.values()]
    scale = max(1, PREVIEW // side) if side <= PREVIEW else PREVIEW / side
    save(picture_grid(tiles, list(columns), list(rows), scale, title=12), file)


def tune(preset: Preset, items: list[Item], name: str, out: Path, measured: bool = True) -> Path:
    """Fine-tune preset.backbone on items and write everything to `out`: the LoRA for diffusers and ComfyUI, a card, a
    gallery, previews, checkpoints, the loss, the preset and, if `measured`, the scores. Called again after a stop it goes on.

    UserError where `out` holds a finished training, or where an instrument cannot be had; Stopped on Ctrl-C, after saving.
    """
    if (out / "checkpoints").exists():
        raise UserError(f"{out} holds a finished training; choose another --out, or move it away")
    method = the_method(preset)
    settings, state = preset.tune, measure.processes(preset.backbone)
    mark(out)
    if measured:
        measure.prepare(preset, items, out)  # what is missing is said before the training, not after it
    backbone = backbones.load(preset.backbone)
    for item in items:
        for text in item.captions.values():
            check_words(backbone.text[0], text)
    gallery = Gallery.of(backbone, settings.previews.prompts, settings.size, settings.nfe, settings.previews.seed)
    # all encoding comes before the transformer is opened, so that a small GPU holds one or the other
    with state.main_process_first():
        Encoded(backbone, items, method.needs.seen, out / "features")
    before = gallery.drawn(backbone)

    def preview(step: int) -> None:
        now = {"untouched": before} if step == 0 else {"untouched": before, f"step {step}": gallery.drawn(backbone)}
        if state.is_main_process:
            show(now, gallery.prompts, out / "previews" / f"step-{step:05d}.png")

    finished = train(
        backbone,
        items,
        method,
        preset.train,
        seed=settings.seed,
        learning_rate=settings.learning_rate,
        work=out / "work",
        name=name,
        cache=out / "features",
        preview=Preview(settings.previews.every, preview),
    )
    last = finished / f"step-{preset.train.steps:04d}"
    backbone.transformer = None  # opened anew: what is shown is what a fresh model draws with the exported files
    backbone.free_encoders()
    lora = preset.train.tune == "lora"
    if lora and state.is_main_process:
        export(backbone, last, out, slug(name), {"trigger": "[V]", "class": items[0].class_name})
    state.wait_for_everyone()
    put(backbone, out if lora else last)
    after = gallery.drawn(backbone)
    if state.is_main_process:
        show({"untouched": before, "tuned": after}, gallery.prompts, out / "gallery.png")
        recipe = yaml.safe_dump(preset.model_dump(mode="json"), sort_keys=False)
        (out / "preset.yaml").write_text(recipe, encoding="utf-8")
        replace(finished, out / "checkpoints")
        card(out, preset, items, name)
    state.wait_for_everyone()
    backbone.transformer = None
    if measured:
        measure.measure(preset, items, out, weights(out, preset))
        if state.is_main_process:
            card(out, preset, items, name)
    return out


def the_method(preset: Preset) -> objectives.Method:
    """The method of a preset, with its settings."""
    name = preset.tune.method
    return objectives.method(name, preset.methods[name], preset.where)


def weights(out: Path, preset: Preset) -> Path:
    """The folder of a finished training's last weights, for `weights.put`."""
    return out if preset.train.tune == "lora" else out / "checkpoints" / f"step-{preset.train.steps:04d}"


def card(out: Path, preset: Preset, items: list[Item], name: str) -> None:
    """Write the model card of a finished training, with the scores if there are any."""
    if preset.train.tune == "lora":
        found = [*out.glob("*.safetensors"), *out.glob("comfyui/*.safetensors")]
    else:
        found = [weights(out, preset) / WHOLE]
    files = [f.relative_to(out) for f in found]
    scores = read_json(out / measure.FILE)["scores"] if (out / measure.FILE).exists() else {}
    facts = {"method": the_method(preset).objective.SAYS, "random_weights": has_random_weights(preset.backbone.model)}
    write_card(out, name=name, preset=preset, items=items, files=files, log=LOG_FILE, scores=scores, **facts)
