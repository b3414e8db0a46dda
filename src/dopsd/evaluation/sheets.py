"""What a cell of the comparison, a method on a concept with a seed, is asked and draws; its pictures as files.

Two sets of prompts (see `prompts`), which all methods share with their noise: new scenes for "[V]", drawn in few steps at
every checkpoint, and ordinary prompts, which tell what fine-tuning did to the rest of the model. The untouched model's
pictures of the ordinary prompts are drawn once a seed. Pictures are kept, so that scoring draws nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from dopsd.backbones.base import Backbone
from dopsd.config.study import Evaluate
from dopsd.evaluation import prompts
from dopsd.evaluation.drawing import draw
from dopsd.evaluation.prompts import Prompts
from dopsd.method.context import Context
from dopsd.support.errors import UserError
from dopsd.support.paths import sheet_file
from dopsd.support.pictures import contact_sheet, read_image, tiles, to_pil
from dopsd.world.concepts import ConceptPictures
from dopsd.world.scenes import SIZE

COLUMNS = 8  # of a sheet
Sheet = tuple[int, str, int]  # step, "scenes" or "ordinary", NFE
Pictures = dict[Sheet, Tensor]


def asked(training: ConceptPictures, settings: Evaluate, seed: int, described: bool) -> dict[str, Prompts]:
    """The prompts of a cell: "scenes", new ones of the concept, spelled out if `described`, and "ordinary" ones."""
    name, known = training.concept.name, training.attributes
    scenes = prompts.for_concept(name, settings.scenes, settings.noises, seed, described=described, training=known)
    return {"scenes": scenes, "ordinary": ordinary(settings, seed)}


def ordinary(settings: Evaluate, seed: int) -> Prompts:
    """The ordinary prompts of a seed."""
    return prompts.ordinary(settings.ordinary, seed)


def sheets(settings: Evaluate, steps: Iterable[int], every_nfe: bool) -> list[Sheet]:
    """What a trained model draws: at every checkpoint new scenes in few steps and ordinary prompts in few and many, at the
    last one ordinary prompts in the NFE of the sweep, too, if `every_nfe`."""
    steps = list(steps)
    out = [(s, kind, settings.few) for s in steps for kind in ("scenes", "ordinary")]
    out += [(s, "ordinary", settings.many) for s in steps if settings.many > settings.few]
    rest = {*settings.nfe, *(settings.nfe_sweep if every_nfe else ())} - {settings.few, settings.many}
    return out + [(steps[-1], "ordinary", nfe) for nfe in sorted(rest)]


@torch.no_grad()
def draw_sheets(
    backbone: Backbone, checkpoints: Iterable[int], wanted: dict[str, Prompts], todo: list[Sheet], seed: int, batch: int
) -> Iterator[tuple[Sheet, Tensor]]:
    """Draw the sheets of a cell -> each with its pictures (n, 3, 64, 64) in [-1, 1].

    checkpoints: yields each training step after putting that step's weights on the backbone (a single 0 for an untouched
    model). wanted: prompts by kind. batch: pictures at a time. UserError where there is no checkpoint.
    """
    given: dict[str, tuple[Context, Tensor]] = {}
    shape = tuple(backbone.latent_shape(SIZE, SIZE))
    for kind in dict.fromkeys(kind for _, kind, _ in todo):
        given[kind] = backbone.context(wanted[kind].texts), wanted[kind].noise(shape, seed)
    step = None
    for step in checkpoints:
        for sheet in todo:
            if sheet[0] == step:
                yield sheet, draw(backbone, *given[sheet[1]], sheet[2], batch)
    if step is None:
        raise UserError("no checkpoint to draw with; run the training stage first")


def keep(images: Tensor, folder: Path, sheet: Sheet) -> None:
    """Write the pictures of a sheet, as one PNG, into a cell's folder."""
    file = sheet_file(folder, *sheet)
    file.parent.mkdir(parents=True, exist_ok=True)
    to_pil(contact_sheet(images, COLUMNS)).save(file)


def kept(folder: Path, todo: Iterable[Sheet], sizes: dict[str, int]) -> Pictures:
    """The pictures of sheets in a cell's folder: (n, 3, 64, 64) in [-1, 1] each, n by the kind of prompts (`sizes`)."""
    return {s: tiles(read_image(sheet_file(folder, *s)), SIZE)[: sizes[s[1]]] for s in todo}
