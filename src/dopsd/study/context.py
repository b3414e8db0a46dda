"""What the untouched model draws from a context, as a worker runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from dopsd import backbones
from dopsd.config.backbone import Backbone
from dopsd.config.contexts import Context
from dopsd.evaluation import seen
from dopsd.evaluation.drawing import Asked
from dopsd.evaluation.rows import Row
from dopsd.evaluation.sheets import Sheet, keep
from dopsd.support.errors import UserError
from dopsd.support.pictures import to_pil
from dopsd.world.concepts import ConceptPictures, load_training


@dataclass(frozen=True)
class Shown:
    """The folders of two concepts' sets: of the one that is asked for, and of the one that is shown in its place."""

    mine: Path
    other: Path

    def pictures(self) -> tuple[ConceptPictures, ConceptPictures]:
        return load_training(self.mine), load_training(self.other)


def _text(context: Context, row: Row) -> str:
    if context.says == "nothing":
        return ""
    if context.says == "prompt":
        return row.text
    if row.described is None:
        raise UserError(f"prompt {row.id}: described: missing, and a context says it; say there what [V] stands for")
    return row.described


@torch.no_grad()
def draw_context_cell(
    backbone: Backbone,
    context: Context,
    rows: Sequence[Row],
    shown: Shown,
    sheet: Sheet,
    batch_size: int,
    folder: Path,
    device: str,
) -> Path:
    """Draw the rows from a context into a folder, and return it. backbone: with the VLM that the context names."""
    model = backbones.load(backbone.model_copy(update={"device": device}))
    beside = seen.beside(context.sees, rows, *shown.pictures())
    pictures = [to_pil(image) for image in beside.images] if context.sees else None
    given = model.context([_text(context, r) for r in rows], pictures, context.layer)
    asked = Asked(given, [r.start(model.latent_shape(*r.size)) for r in rows], None)
    model.free_encoders()
    keep(asked.drawn(model, sheet.nfe, sheet.guidance, batch_size), folder, sheet, rows)
    return folder


def keep_known_cell(
    name: str, rows: Sequence[Row], others: Sequence[Row], shown: Shown, sheet: Sheet, folder: Path, device: str
) -> Path:
    """Keep pictures whose scores are known as if they had been drawn (`seen.known`) -> the folder. others: the prompts of the
    concept that is shown in the place of this one."""
    keep(list(seen.known(name, rows, others, *shown.pictures())), folder, sheet, rows)
    return folder
