"""What a cell draws, as a worker runs it: a sheet of pictures a checkpoint, kind of prompts and NFE, kept as PNG."""

from __future__ import annotations

from pathlib import Path

from dopsd import backbones
from dopsd.config.backbone import Backbone
from dopsd.config.study import Evaluate
from dopsd.evaluation.sheets import Sheet, asked, draw_sheets, keep, ordinary
from dopsd.training.weights import walk
from dopsd.world.concepts import load_training


def draw_cell(
    backbone: Backbone,
    weights: Path | None,
    concept: Path | None,
    described: bool,
    seed: int,
    todo: list[Sheet],
    settings: Evaluate,
    folder: Path,
    device: str,
) -> Path:
    """Draw the sheets of a cell into a folder, and return it.

    weights: the folder of the training; None: the untouched model's. concept: the folder of the concept's set; None where
    ordinary prompts only are drawn.
    """
    model = backbones.load(backbone.model_copy(update={"device": device}))
    wanted = {"ordinary": ordinary(settings, seed)}
    if concept:
        wanted = asked(load_training(concept), settings, seed, described)
    steps = sorted({step for step, _, _ in todo})
    checkpoints = walk(model, weights, steps) if weights else iter([0])
    for sheet, images in draw_sheets(model, checkpoints, wanted, todo, seed, settings.batch_size):
        keep(images, folder, sheet)
    return folder
