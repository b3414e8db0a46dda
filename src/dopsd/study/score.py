"""The scores of a cell, as a worker runs it: from kept pictures only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dopsd.backbones.pipeline import device as named_device
from dopsd.evaluation.instruments import Panel
from dopsd.evaluation.rows import Row
from dopsd.evaluation.scores import Cell, Drawn, score_cell
from dopsd.sets.items import Item
from dopsd.support.files import write_table

TABLE = "scores.parquet"


def score_pictures(
    drawn: Sequence[Drawn],
    plain: Drawn,
    rows: Sequence[Row],
    seed: int,
    items: Sequence[Item],
    own: Mapping[str, str] | None,
    instruments: Mapping[str, Mapping[str, Any] | None],
    blocks: bool,
    folder: Path,
    device: str,
) -> Path:
    """Write the long table of a cell (see `score_cell`) to folder/scores.parquet, and return the folder."""
    cell = Cell(drawn, plain, rows, seed, items, own)
    panel = Panel(instruments, named_device(device), "params.yaml")
    folder.mkdir(parents=True, exist_ok=True)
    write_table(score_cell(cell, panel, blocks), folder / TABLE)
    return folder
