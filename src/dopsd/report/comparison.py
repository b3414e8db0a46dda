"""The paper's figure, and the sheets on which every method's pictures of a concept stand: equal prompts and noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dopsd.config.params import Params
from dopsd.evaluation.rows import NEW, Row, of_kind
from dopsd.evaluation.sheets import Sheet, kept
from dopsd.report.grids import TILE, cut, picture_grid, tile
from dopsd.report.names import label
from dopsd.sets.jsonl import read_set
from dopsd.study.grid import Cell, scored, training
from dopsd.study.prompts import asked
from dopsd.support import paths
from dopsd.support.pictures import from_pil

SCENES = 2  # pictures a cell of the comparison,
ON_SHEET = 8  # and a row of a sheet,
SIDE = 2 * TILE  # each so many pixels a side, or less
TAUGHT, TITLE = "training pictures", 10  # a sheet's last row, and the points of its prompts
REFERENCES = ("untouched", "described")  # of the comparison


class Column(NamedTuple):
    """What a method drew: its title, and the sheet that it is kept on."""

    title: str
    method: str
    sheet: Sheet


def last_step(params: Params, method: str) -> int:
    """A method's last optimiser step; 0 of what is not trained."""
    return training(params, method).steps if method in params.grid.trained else 0


def columns(params: Params) -> list[Column]:
    """Those of the comparison that the study draws: the references, the method, its baseline, and this one in many steps."""
    few, many, grid, compare = params.evaluate.few, params.evaluate.many, params.grid, params.compare
    guidance = params.evaluate.guidance
    shown = [r for r in REFERENCES if r in grid.references]
    shown += [m for m in (compare.method, compare.baseline) if m in grid.trained]
    out = []
    for name in shown:
        title = f"{label(name)}, {few} steps" if name in grid.trained else label(name)
        out.append(Column(title, name, Sheet(last_step(params, name), NEW, few)))
    if many > few and compare.baseline in grid.trained:
        step, how = last_step(params, compare.baseline), f"{many} {'guided ' if guidance else ''}steps"
        title = f"{label(compare.baseline)}, {how}"
        out.append(Column(title, compare.baseline, Sheet(step, NEW, many, guidance)))
    return out


def _blank(side: int) -> np.ndarray:
    return np.full((side, side, 3), 255, np.uint8)


def _chosen(wanted: list[Row], most: int) -> list[int]:
    """The first row of each of the first so many groups of prompts."""
    groups = [r.group for r in wanted]
    return [groups.index(g) for g in list(dict.fromkeys(groups))[:most]]


def _drawn(
    params: Params, cell: Cell, sheet: Sheet, wanted: list[Row], shown: list[int], side: int
) -> list[np.ndarray]:
    """The chosen pictures of a cell; blank where the study has no such cell, as nothing describes a look without words."""
    if cell not in scored(params.grid):
        return [_blank(side) for _ in shown]
    images = kept(paths.samples(*cell), sheet, wanted)
    return [tile(images[k], side) for k in shown]


def comparison(params: Params, study: str) -> Figure:
    """The paper's figure: a row a concept; training pictures, then what `columns` says, on equal prompts and noise.

    The first pictures of the first groups of prompts are shown, of the first seed; no picture is chosen. study: its
    name.
    """
    side, seed, shown = min(params.fetch.size, SIDE), params.grid.seeds[0], columns(params)
    rows, said = [], []
    for concept in params.grid.concepts:
        items, wanted = read_set(paths.concept_set(concept) / "data.jsonl"), of_kind(asked(concept), NEW, seed)
        chosen = _chosen(wanted, SCENES)
        trained_on = [tile(from_pil(item.image()), side) for item in items[:SCENES]]
        trained_on += [_blank(side)] * (SCENES - len(trained_on))
        cells = [_drawn(params, Cell(c.method, concept, seed), c.sheet, wanted, chosen, side) for c in shown]
        rows.append([np.concatenate(pictures, 1) for pictures in (trained_on, *cells)])
        captions = [caption for item in items for caption in item.captions.values()]
        scenes = ", ".join(f"“{wanted[k].text}”" for k in chosen)
        said.append(f"taught: “{min(captions, key=len)}”, ...; asked: {scenes}")
    titles = ["Training pictures", *(c.title for c in shown)]
    names, scale = list(params.grid.concepts), max(1, SIDE // side)
    return picture_grid(rows, titles, names, scale, beneath=said, foot=f"Study {study}. {_foot(params)}")


def _foot(params: Params) -> str:
    """What the comparison shows, in a line or two."""
    few, grid = params.evaluate.few, params.grid
    world = params.prompts.source == "world"
    said = f"Prompts say each attribute of a scene with chance {params.prompts.said:g}. " if world else ""
    last = {m: last_step(params, m) for m in (params.compare.baseline, params.compare.method) if m in grid.trained}
    ends = " and ".join(f"{step} ({label(m)})" for m, step in last.items())
    steps = ends if len(set(last.values())) > 1 else str(next(iter(last.values()), 0))
    return (
        f"{few} steps without guidance where nothing else is said. {said}After {steps} optimiser steps; seed "
        f"{grid.seeds[0]}. The first prompts, and of each the first noise, equal for all."
    )


def sheet_rows(params: Params, concept: str) -> list[str]:
    """The rows of a concept's sheet, but for the training pictures beneath them."""
    seed = params.grid.seeds[0]
    return [cell.method for cell in scored(params.grid) if (cell.concept, cell.seed) == (concept, seed)]


def prompts(params: Params) -> pd.DataFrame:
    """What stands above the columns of the sheets: concept, column from 0, prompt."""
    rows = []
    for concept in params.grid.concepts:
        wanted = of_kind(asked(concept), NEW, params.grid.seeds[0])
        rows += [(concept, k, wanted[i].text) for k, i in enumerate(_chosen(wanted, ON_SHEET))]
    return pd.DataFrame(rows, columns=["concept", "column", "prompt"])


def sheet(params: Params, concept: str, study: str) -> Figure:
    """Every method's pictures of a concept in few steps, at its last step with the first seed: a row a method, a column a
    prompt, which stands above it; the training pictures last. study: its name."""
    side, seed = min(params.fetch.size, SIDE), params.grid.seeds[0]
    wanted = of_kind(asked(concept), NEW, seed)
    chosen, rows, methods = _chosen(wanted, ON_SHEET), [], sheet_rows(params, concept)
    for method in methods:
        drawn = Sheet(last_step(params, method), NEW, params.evaluate.few)
        rows.append(_drawn(params, Cell(method, concept, seed), drawn, wanted, chosen, side))
    items = read_set(paths.concept_set(concept) / "data.jsonl")[: len(chosen)]
    pictures = [tile(from_pil(item.image()), side) for item in items]
    rows.append(pictures + [_blank(side)] * (len(chosen) - len(pictures)))
    texts, names = [wanted[k].text for k in chosen], [*map(label, methods), TAUGHT]
    foot = f"Study {study}, {concept}. {params.evaluate.few} steps, last checkpoint, seed {seed}; equal noise down a column."
    return picture_grid(rows, texts, names, max(1, SIDE // side), title=TITLE, foot=foot)


def cut_sheet(file: Path, params: Params, concept: str, texts: Sequence[str]) -> dict[str, list[np.ndarray]]:
    """A sheet's file taken apart: {row: its pictures (side, side, 3)}, the training pictures under `TAUGHT`; texts: its
    prompts. UserError where it is no such sheet."""
    scale = max(1, SIDE // min(params.fetch.size, SIDE))
    rows = [*sheet_rows(params, concept), TAUGHT]
    found = cut(file, texts, [*map(label, rows[:-1]), TAUGHT], scale * min(params.fetch.size, SIDE), TITLE, scale)
    return dict(zip(rows, found, strict=True))
