"""What a panel of instruments says of the pictures of a cell, as a long table: a row a score of a picture, or of a set.

Columns `COLUMNS`. A score of a whole set has an empty prompt; its rows with a group "without B" are the same score with
one block of the prompts left out, from which its interval comes (`statistics.jackknifed`). said: see `Row.chance`; NaN: the
study's usual one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from dopsd.evaluation.instruments import Panel, View
from dopsd.evaluation.rows import ORDINARY, REFERENCE, Row, of_kind
from dopsd.evaluation.sheets import Sheet, kept
from dopsd.evaluation.statistics import BLOCKS, WITHOUT, blocks
from dopsd.sets.items import Item
from dopsd.support.errors import UserError

COLUMNS = ["step", "nfe", "guidance", "kind", "said", "prompt", "group", "score", "value"]
DIGITS = 7  # significant ones, of a value: as many as a float32 holds


@dataclass(frozen=True)
class Drawn:
    """A folder of pictures and the sheets that are in it."""

    folder: Path
    todo: Sequence[Sheet]


@dataclass(frozen=True)
class Cell:
    """What is scored, and what it is held against.

    drawn: the cell's pictures. plain: the untouched model's, of ordinary prompts. rows: the prompts of the cell's concept,
    and the ordinary ones. items: the training pictures. own: the concept's attributes, where the world made it.
    """

    drawn: Sequence[Drawn]
    plain: Drawn
    rows: Sequence[Row]
    seed: int
    items: Sequence[Item]
    own: Mapping[str, str] | None

    def asked(self, kind: str, chance: float | None = None) -> list[Row]:
        return of_kind(self.rows, kind, self.seed, chance)


def references(cell: Cell) -> dict[tuple, View]:
    """The untouched model's pictures that sets are held against, by NFE, guidance and openness: those of REFERENCE rows where
    the study has such, else of the ordinary ones."""
    kind, out = REFERENCE if cell.asked(REFERENCE) else ORDINARY, {}
    for s in (s for s in cell.plain.todo if s.kind == kind):
        rows = cell.asked(kind, s.chance)
        out[s.nfe, s.guidance, s.chance] = View(kind, rows, kept(cell.plain.folder, s, rows), cell.items, cell.own)
    return out


def views(cell: Cell) -> Iterator[tuple[Sheet, View]]:
    """Each sheet's pictures with all that they may be held against; UserError where a reference was not drawn."""
    against = references(cell)
    for drawn in cell.drawn:
        for sheet in drawn.todo:
            if sheet.kind == REFERENCE:
                continue
            how = sheet.nfe, sheet.guidance, sheet.chance
            reference = against.get(how) if sheet.kind == ORDINARY else None
            if sheet.kind == ORDINARY and reference is None:
                raise UserError(
                    f"{cell.plain.folder}: no {sheet.nfe} NFE, which {drawn.folder} has; run `dvc repro draw`"
                )
            rows = cell.asked(sheet.kind, sheet.chance)
            images = kept(drawn.folder, sheet, rows)
            yield sheet, View(sheet.kind, rows, images, cell.items, cell.own, reference)


@torch.no_grad()
def score_cell(cell: Cell, panel: Panel, leave_out: bool) -> pd.DataFrame:
    """The long table of a cell: `COLUMNS`. One instrument is open at a time, but for those whose features others compare.

    leave_out: scores of whole sets with each block of the prompts left out, too, for an interval within the cell.
    """
    seen, out = list(views(cell)), []
    for name in panel.order():
        for sheet, view in seen:
            for score in panel.says(name, sheet.kind, view.has()):
                found = panel.opened(name).score(score, view)
                if found is None:
                    continue
                rows = (
                    _each(found, view.rows) if isinstance(found, Tensor) else _whole(found, len(view.rows), leave_out)
                )
                where = (sheet.step, sheet.nfe, sheet.guidance, sheet.kind, sheet.chance)
                out += [(*where, prompt, group, score, float(f"{v:.{DIGITS}g}")) for prompt, group, v in rows]
        panel.close(name)
    return pd.DataFrame(out, columns=COLUMNS).astype({"said": float})


def _each(found: Tensor, rows: Sequence[Row]) -> list[tuple[str, str, float]]:
    return [(r.id, r.group, v) for r, v in zip(rows, found.double().tolist(), strict=True)]


def _whole(found, n: int, leave_out: bool) -> list[tuple[str, str, float]]:
    out = [("", "", found(torch.arange(n)))]
    return out + [("", f"{WITHOUT}{b}", found(k)) for b, k in enumerate(blocks(n, BLOCKS)) if leave_out]
