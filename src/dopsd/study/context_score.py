"""The scores of what was drawn from a context, as a worker runs it: from kept pictures only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pandas as pd
import torch
from torch import Tensor

from dopsd.backbones.pipeline import device as named_device
from dopsd.config.contexts import Sees
from dopsd.evaluation import by_world, leaks, seen
from dopsd.evaluation.instruments import Panel
from dopsd.evaluation.instruments.reader import ByReader
from dopsd.evaluation.rows import Row
from dopsd.evaluation.scores import COLUMNS, Cell, Drawn, score_cell
from dopsd.evaluation.seen import Seen
from dopsd.evaluation.sheets import Sheet, kept
from dopsd.sets.jsonl import read_set
from dopsd.study.context import Shown
from dopsd.study.score import TABLE
from dopsd.support.files import write_table

READER = "reader"  # the instrument that what is seen is read with
SHOWN, FIDELITY = "shown_fidelity", "concept_fidelity"
BY_CHANCE = (
    "chance_"  # before a score: the same of the pictures that the student draws, held against the same seen ones
)


@torch.no_grad()
def score_context_cell(
    drawn: Drawn,
    student: Drawn,
    rows: Sequence[Row],
    seed: int,
    shown: Shown,
    sees: Sees | None,
    instruments: Mapping[str, Mapping[str, Any] | None],
    folder: Path,
    device: str,
) -> Path:
    """Write the long table of a context (`scores.COLUMNS`), with what it draws of the pictures that it has seen, to
    folder/scores.parquet, and return the folder. student: what is drawn without a picture, of the same rows."""
    mine, other = shown.pictures()
    own = mine.concept.attributes or {"look": mine.concept.name}
    panel = Panel(instruments, named_device(device), "params.yaml")
    cell = Cell([drawn], Drawn(drawn.folder, []), rows, seed, read_set(shown.mine / "data.jsonl"), own)
    found = score_cell(cell, panel, False)
    reader = cast(ByReader, panel.opened(READER)).reader
    (sheet,) = drawn.todo
    read, before = (
        reader.read(torch.stack(kept(d.folder, sheet, rows)).to(panel.device)).cpu() for d in (drawn, student)
    )
    more = _long(_of_seen(read, before, rows, seen.beside(sees, rows, mine, other), sees), rows, sheet)
    if sees != "other":  # what is shown is what is asked for
        more = pd.concat([more, found.loc[found.score == FIDELITY].assign(score=SHOWN)])
    folder.mkdir(parents=True, exist_ok=True)
    write_table(pd.concat([found, more], ignore_index=True).loc[:, COLUMNS].astype({"said": float}), folder / TABLE)
    return folder


def _of_seen(read: Tensor, before: Tensor, rows: Sequence[Row], of: Seen, sees: Sees | None) -> dict[str, Tensor]:
    """The scores that are held against what was seen: numbers a picture (n,). read, before (n, 9): the attributes of what was
    drawn, and of what the student draws."""
    wanted, stated = by_world.scenes_of(rows).attributes, by_world.stated(rows)
    chance = leaks.of_seen(before, wanted, stated, of)
    out = leaks.of_seen(read, wanted, stated, of) | {f"{BY_CHANCE}{name}": values for name, values in chance.items()}
    return out | ({SHOWN: leaks.shown_fidelity(read, of)} if sees == "other" and of.own else {})


def _long(scores: Mapping[str, Tensor], rows: Sequence[Row], sheet: Sheet) -> pd.DataFrame:
    """A row a picture and score; none where it is NaN."""
    where = (sheet.step, sheet.nfe, sheet.guidance, sheet.kind, sheet.chance)
    out = [
        (*where, row.id, row.group, name, value)
        for name, values in scores.items()
        for row, value in zip(rows, values.double().tolist(), strict=True)
        if value == value
    ]
    return pd.DataFrame(out, columns=COLUMNS)
