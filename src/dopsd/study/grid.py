"""The cells of a study."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from dopsd.config.params import Params
from dopsd.config.study import Grid
from dopsd.evaluation import rows
from dopsd.evaluation.sheets import Sheet, along
from dopsd.objectives import Method, method
from dopsd.study.sets import known
from dopsd.support.paths import ORDINARY


class Cell(NamedTuple):
    """A method on a concept with a seed."""

    method: str
    concept: str
    seed: int

    @property
    def name(self) -> str:
        return "/".join(map(str, self))


def trained(grid: Grid) -> list[Cell]:
    """The cells that are trained, seeds innermost."""
    return [Cell(m, c, s) for m in grid.trained for c in grid.concepts for s in grid.seeds]


def scored(grid: Grid) -> list[Cell]:
    """The cells that are scored: the untouched model's and the trained ones."""
    return [Cell(m, c, s) for m in grid.references for c in grid.concepts for s in grid.seeds] + trained(grid)


def ordinary(grid: Grid) -> list[Cell]:
    """The untouched model on the ordinary prompts of each seed, which all cells of the seed are held against; and the base on
    them, where it is asked: neither knows a concept, so they draw them once."""
    return [Cell(m, ORDINARY, s) for m in ("untouched", "base") if m in grid.references for s in grid.seeds]


def drawn(grid: Grid) -> list[Cell]:
    """The cells that draw."""
    return ordinary(grid) + scored(grid)


def drawings(params: Params, cell: Cell, kinds: Iterable[str]) -> list[Sheet]:
    """What a cell draws, of the kinds of prompts that it is asked. NFE of the sweep: for the first seed only."""
    settings, every_nfe = params.evaluate, cell.seed == params.grid.seeds[0]
    if cell.concept == ORDINARY:
        plain = along(settings, [0], [rows.ORDINARY], every_nfe)
        if cell.method != "untouched":
            return plain
        return plain + [s._replace(kind=rows.REFERENCE) for s in plain if rows.REFERENCE in kinds]
    if cell.method in params.grid.references:
        return along(settings, [0], set(kinds) - {rows.ORDINARY, rows.REFERENCE}, every_nfe)
    return along(settings, params.train.kept, set(kinds) - {rows.REFERENCE}, every_nfe)


def methods(params: Params) -> dict[str, Method]:
    """The trained methods with their settings; UserError where params.yaml says nothing or something wrong of one."""
    return {name: method(name, params.methods[name], params.where) for name in params.grid.trained}


def fetched(params: Params) -> list[str]:
    """The concepts whose sets are written: those of the grid and, where one is, the one that rates are searched on. UserError
    where nothing says where one's pictures are."""
    search = [params.step_size.concept] if params.searched and params.step_size.concept else []
    out = list(dict.fromkeys([*params.grid.concepts, *search]))
    for concept in out:
        known(concept, params.fetch, params.where("grid", "concepts"))
    return out
