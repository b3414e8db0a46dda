"""The in-context probe: does the untouched few-step generator, trained on text alone, draw what an encoder saw?

The prompt says "[V]" and nothing else. What the target picture shows is then unstated, and a context that has seen the
picture is judged by the share of it that is drawn, from the same noise in every context. The control is a context that has
seen another picture *of the same style*: one of another style would differ in what it lets be seen, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dopsd.backbones.base import Backbone
from dopsd.config.study import Probe
from dopsd.evaluation import by_world
from dopsd.evaluation.drawing import draw
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
    """Pictures to be seen, the prompt that goes with each, and the noise to draw from. wrong: for each the number of another
    target of the same style."""

    scenes: Scenes
    images: Tensor
    texts: list[str]
    noise: Tensor
    wrong: Tensor

    def first(self, n: int) -> Targets:
        """The first n of them."""
        scenes = self.scenes[:n]
        return Targets(scenes, self.images[:n], self.texts[:n], self.noise[:n], of_equal_style(scenes.attributes))


def of_equal_style(attributes: Tensor) -> Tensor:
    """For each scene the number of the next one of its style, the first after the last: (n, 9) -> LongTensor (n,).

    ValueError where a style stands alone.
    """
    style, out = attributes[:, NAMES.index("style")], torch.empty(len(attributes), dtype=torch.long)
    for value in style.unique():
        mine = (style == value).nonzero()[:, 0]
        if len(mine) < 2:
            raise ValueError(
                f"one target in the style {ATTRIBUTES['style'][value]} has no other beside it; ask for more"
            )
        out[mine] = mine.roll(-1)
    return out


def targets(n: int, seed: int, shape: tuple[int, ...]) -> Targets:
    """n held-out scenes, every style in equal number, in random order.

    shape: of one sample's noise, (C, h, w). ValueError where n is below twice the number of styles.
    """
    generator = stream("probe", seed)
    scenes = sample_scenes(n, generator)
    styles = len(ATTRIBUTES["style"])
    if n < 2 * styles:
        raise ValueError(f"{n} targets cannot show {styles} styles twice; raise probe.images in params.yaml")
    scenes.attributes[:, NAMES.index("style")] = (torch.arange(n) % styles)[torch.randperm(n, generator=generator)]
    noise = torch.randn(n, *shape, generator=generator)
    return Targets(scenes, render(scenes), by_world.open_prompts(n, seed), noise, of_equal_style(scenes.attributes))


def contexts(backbone: Backbone, kind: str, asked: Targets, layer: int) -> Context:
    """The generator's input in one of `CONTEXTS`; ValueError on another name. Without a picture the layer is the
    student's own, so `layer` changes nothing for "text"."""
    if kind == "text":
        return backbone.context(asked.texts)
    pictures = [to_pil(image) for image in asked.images]
    if kind == "image_text":
        return backbone.context(asked.texts, pictures, layer)
    if kind == "wrong_image_text":
        return backbone.context(asked.texts, [pictures[i] for i in asked.wrong.tolist()], layer)
    if kind == "image":
        return backbone.context([""] * len(pictures), pictures, layer)
    raise ValueError(f"unknown context {kind!r}; known: {CONTEXTS}")


def by_attribute(read: Tensor, wanted: Tensor, asked: Tensor | None = None) -> dict[str, Number]:
    """Share of wanted values that are read, an entry an attribute: read, wanted (n, 9). Left out is what the target's style
    or that of the drawn picture hides (whether the style itself is drawn is an entry of its own), and what `asked` (n, 9)
    leaves out. An attribute that nothing is left of has no entry."""
    counted = visible(wanted) & visible(read)
    counted = counted if asked is None else counted & asked
    hit = read == wanted
    return {a: interval(hit[counted[:, i], i].numpy()) for i, a in enumerate(NAMES) if counted[:, i].any()}


def score(images: Tensor, asked: Targets, reader: Reader) -> dict[str, Number]:
    """Share of the targets' attributes that the pictures show, as in `by_attribute`, and "mean" over a picture's."""
    read, wanted = reader.read(images), asked.scenes.attributes
    counted = visible(wanted) & visible(read)
    mean = ((read == wanted) & counted).sum(1) / counted.sum(1)
    return by_attribute(read, wanted) | {"mean": interval(mean.numpy())}


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
    few = asked.first(settings.table_images)
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
