"""The in-context probe on pictures of one's own: how near does what the untouched few-step model draws come to the picture
that its encoder has seen? As the study's instruments say, against text alone and another picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch
from PIL.Image import Image
from torch import Tensor

from dopsd.backbones.base import Backbone
from dopsd.config.probe import PictureProbe
from dopsd.evaluation.by_pictures import caption_of
from dopsd.evaluation.drawing import Asked
from dopsd.evaluation.instruments import Panel, View
from dopsd.evaluation.rows import REWRITE, Row
from dopsd.evaluation.statistics import interval
from dopsd.method.context import Context
from dopsd.sets.items import Item
from dopsd.support import seeds
from dopsd.support.errors import UserError
from dopsd.support.pictures import from_pil

Scores = dict[str, dict[str, dict[str, dict]]]


def rows_of(items: Sequence[Item], seed: int) -> list[Row]:
    """A row a picture: its shortest caption, at its size, from a noise of its own."""
    names = [f"probe/{i}/{item.file.name}" for i, item in enumerate(items)]
    return [
        Row(
            id=name,
            kind=REWRITE,
            group=name,
            text=caption_of(item),
            height=item.size[0],
            width=item.size[1],
            noise=seeds.number("noise", seed, name),
            picture=item.name,
        )
        for name, item in zip(names, items, strict=True)
    ]


def contexts(backbone: Backbone, kind: str, items: Sequence[Item], rows: Sequence[Row]) -> Context:
    """The generator's input: "text", "image_text", "wrong_image_text" (the next picture's) or "image" (no text)."""
    texts, pictures = [r.text for r in rows], [i.image() for i in items]
    given: dict[str, tuple[list[str], list[Image] | None]] = {
        "text": (texts, None),
        "image_text": (texts, pictures),
        "wrong_image_text": (texts, [*pictures[1:], pictures[0]]),
        "image": ([""] * len(texts), pictures),
    }
    return backbone.context(*given[kind])


@torch.no_grad()
def probe(
    backbone: Backbone, items: Sequence[Item], panel: Panel, settings: PictureProbe, batch_size: int
) -> tuple[Scores, pd.DataFrame, dict[str, list[Tensor]]]:
    """-> (scores {nfe: {context: {score: number}}}, a table of them, pictures {"target" or context: in the native steps}).

    settings: contexts, nfe (the first is the native one), images (at most so many pictures), seed. Scores are those that the
    panel gives of a picture and the one that it belongs to; UserError where there are none, or fewer than two pictures.
    """
    items = items[: settings.images]
    if len(items) < 2:
        raise UserError(f"the probe needs two pictures or more, for a wrong one; the study has {len(items)}")
    rows, drawn = rows_of(items, settings.seed), {}
    noise = [r.start(backbone.latent_shape(*r.size)) for r in rows]
    given = {kind: contexts(backbone, kind, items, rows) for kind in settings.contexts}
    backbone.free_encoders()
    for kind, context in given.items():
        for nfe in settings.nfe:
            drawn[kind, nfe] = Asked(context, noise, None).drawn(backbone, nfe, 0.0, batch_size, f"{kind}, {nfe} NFE")
    views = {key: View(REWRITE, rows, images, items) for key, images in drawn.items()}
    out: Scores = {str(nfe): {kind: {} for kind in settings.contexts} for nfe in settings.nfe}
    for name in panel.order():
        for (kind, nfe), view in views.items():
            for score in panel.says(name, REWRITE, view.has()):
                found = panel.opened(name).score(score, view)
                assert isinstance(found, Tensor), "a score of a pair is a number a picture"
                out[str(nfe)][kind][score] = interval(found.double().numpy())
        panel.close(name)
    if not next(iter(out[str(settings.nfe[0])].values())):
        raise UserError(
            "params.yaml: instruments: none compares a picture with another; add dino or lpips for the probe"
        )
    table = [
        {"context": kind, "nfe": int(nfe), "score": score, **number}
        for nfe, by_kind in out.items()
        for kind, scores in by_kind.items()
        for score, number in scores.items()
    ]
    native = {kind: drawn[kind, settings.nfe[0]] for kind in settings.contexts}
    return out, pd.DataFrame(table), {"target": [from_pil(i.image()) for i in items], **native}
