"""The in-context probe: does the untouched few-step generator, trained on text alone, draw what an encoder saw?

The prompt says "[V]" and nothing else. What the target picture shows is then unstated, and a context that has seen the
picture is judged by the share of it that is drawn, from the same noise in every context.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dopsd.backbones.base import Backbone
from dopsd.config.study import Probe
from dopsd.evaluation import by_world
from dopsd.evaluation.drawing import draw
from dopsd.evaluation.fidelity import found
from dopsd.evaluation.instruments.reader import Reader
from dopsd.evaluation.statistics import Number, interval
from dopsd.method.context import Context
from dopsd.support.pictures import to_pil
from dopsd.support.seeds import stream
from dopsd.world.scenes import ATTRIBUTES, NAMES, SIZE, Scenes, render, sample_scenes, visible

CONTEXTS = ("text", "image_text", "wrong_image_text", "image")
SHEET_COLUMNS = 12


@dataclass(frozen=True)
class Targets:
    """Pictures to be seen, the prompt that goes with each, and the noise to draw from."""

    scenes: Scenes
    images: Tensor
    texts: list[str]
    noise: Tensor


def targets(n: int, seed: int, shape: tuple[int, ...]) -> Targets:
    """n held-out scenes, every style in equal number, in random order (so that the next one is a fair wrong picture).

    shape: of one sample's noise, (C, h, w). ValueError where n is below the number of styles.
    """
    generator = stream("probe", seed)
    scenes = sample_scenes(n, generator)
    styles = len(ATTRIBUTES["style"])
    if n < styles:
        raise ValueError(f"{n} targets cannot show {styles} styles; raise probe.images in params.yaml")
    scenes.attributes[:, NAMES.index("style")] = (torch.arange(n) % styles)[torch.randperm(n, generator=generator)]
    noise = torch.randn(n, *shape, generator=generator)
    return Targets(scenes, render(scenes), by_world.open_prompts(n, seed), noise)


def contexts(backbone: Backbone, kind: str, asked: Targets, layer: int) -> Context:
    """The generator's input in one of `CONTEXTS`; ValueError on another name. Without a picture the layer is the
    student's own, so `layer` changes nothing for "text"."""
    if kind == "text":
        return backbone.context(asked.texts)
    pictures = [to_pil(image) for image in asked.images]
    if kind == "image_text":
        return backbone.context(asked.texts, pictures, layer)
    if kind == "wrong_image_text":
        return backbone.context(asked.texts, [*pictures[1:], pictures[0]], layer)
    if kind == "image":
        return backbone.context([""] * len(pictures), pictures, layer)
    raise ValueError(f"unknown context {kind!r}; known: {CONTEXTS}")


def score(images: Tensor, asked: Targets, reader: Reader) -> dict[str, Number]:
    """Share of the targets' visible attributes that the pictures show: an entry an attribute, and "mean" over all."""
    shown = visible(asked.scenes.attributes)
    hit = found(reader.read(images), asked.scenes.attributes) & shown
    scores = {a: interval(hit[shown[:, i], i].numpy()) for i, a in enumerate(NAMES)}
    return scores | {"mean": interval((hit.sum(1) / shown.sum(1)).numpy())}


@torch.no_grad()
def probe(
    backbone: Backbone, reader: Reader, settings: Probe, *, layer: int, seed: int, batch_size: int
) -> tuple[dict, list[dict], dict[str, Tensor]]:
    """Run the probe with one VLM -> (scores {nfe: {context: {attribute: number}}}, table rows, pictures).

    settings: contexts, nfe (the first is the native one), layers, images and table_images (targets at layers other than
    the native one, fewer). layer: the native one. Rows: {context, nfe, layer, attribute, value, low, high, n}. Pictures,
    at the native steps: "target", then an entry a context, each (columns, 3, 64, 64).
    """
    asked = targets(settings.images, seed, tuple(backbone.latent_shape(SIZE, SIZE)))
    n = settings.table_images
    few = Targets(asked.scenes[:n], asked.images[:n], asked.texts[:n], asked.noise[:n])
    scores: dict[str, dict] = {str(nfe): {} for nfe in settings.nfe}
    rows, pictures = [], {"target": asked.images[:SHEET_COLUMNS]}
    for kind in settings.contexts:
        for at in settings.layers if kind != "text" else [layer]:
            who = asked if at == layer else few
            given = contexts(backbone, kind, who, at)
            for nfe in settings.nfe:
                images = draw(backbone, given, who.noise, nfe, batch_size, f"{kind}, layer {at}, {nfe} NFE")
                cell = score(images, who, reader)
                rows += [{"context": kind, "nfe": nfe, "layer": at, "attribute": a, **v} for a, v in cell.items()]
                if at == layer:
                    scores[str(nfe)][kind] = cell
                    pictures.setdefault(kind, images[:SHEET_COLUMNS])
    return scores, rows, pictures
