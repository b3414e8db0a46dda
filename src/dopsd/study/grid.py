"""The cells of a study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dopsd.config.params import Params
from dopsd.config.section import validated
from dopsd.config.study import Grid
from dopsd.config.train import Train
from dopsd.evaluation import rows
from dopsd.evaluation.rows import Row
from dopsd.evaluation.sheets import Sheet, along
from dopsd.objectives import Method, method
from dopsd.study.sets import known
from dopsd.support.errors import UserError
from dopsd.support.paths import ORDINARY
from dopsd.training import prepared
from dopsd.world.outside import OUTSIDE, WORDLESS

CONCEPTLESS = ("untouched", "base", "again")  # rows without training that answer ordinary prompts by themselves
KNOWING = {  # the others, and what they answer: they know the concept, so other prompts would be the untouched model's
    "described": {rows.NEW, rows.REWRITE},
    "teacher": {rows.NEW, rows.REWRITE},
}


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
    """The cells that are scored: those without training, then the trained ones. What no words spell out is not described."""
    plain = [Cell(m, c, s) for m in grid.references for c in grid.concepts for s in grid.seeds]
    return [c for c in plain if c.method != "described" or c.concept not in WORDLESS] + trained(grid)


def ordinary(grid: Grid) -> list[Cell]:
    """What draws ordinary prompts that all concepts share, once for each seed: the untouched model, which all cells of the
    seed are held against, and the other rows that know no concept."""
    return [Cell(m, ORDINARY, s) for m in CONCEPTLESS if m in grid.references for s in grid.seeds]


def drawn(grid: Grid, shared: bool) -> list[Cell]:
    """The cells that draw. shared: there are ordinary prompts that all concepts share."""
    return (ordinary(grid) if shared else []) + scored(grid)


def drawings(params: Params, cell: Cell, asked: Sequence[Row], shared: bool) -> list[Sheet]:
    """What a cell draws of the rows that its concept is asked. NFE of the sweep: for the first seed only. What is shared, a
    row without training draws once for all concepts (`ordinary`)."""
    settings, every_nfe = params.evaluate, cell.seed == params.grid.seeds[0]
    kinds, chances = {r.kind for r in asked}, [c for c in dict.fromkeys(r.chance for r in asked) if c is not None]
    if cell.concept == ORDINARY:
        plain = along(settings, [0], [rows.ORDINARY], every_nfe, chances)
        if cell.method != "untouched":
            return plain
        return plain + [s._replace(kind=rows.REFERENCE) for s in plain if rows.REFERENCE in kinds]
    if cell.method in params.grid.references:
        mine = KNOWING.get(cell.method, kinds) & kinds - ({rows.ORDINARY} if shared else set())
        out = along(settings, [0], mine - {rows.REFERENCE}, every_nfe, chances)
        return [s for s in out if s.nfe == settings.few] if cell.method == "teacher" else out
    steps = training(params, cell.method).kept
    return along(settings, steps, kinds - {rows.REFERENCE}, every_nfe, chances)


def methods(params: Params) -> dict[str, Method]:
    """The trained methods with their settings; UserError where params.yaml says nothing or something wrong of one."""
    return {name: method(name, params.methods, params.where) for name in params.grid.trained}


def training(params: Params, name: str) -> Train:
    """The training of a method: the shared one, but for what its entry has otherwise."""
    other = method(name, params.methods, params.where).train
    if not other:
        return params.train
    return validated(Train, {**params.train.model_dump(), **other}, params.where, f"methods.{name}.train")


def another(concept: str, params: Params) -> str:
    """The concept whose pictures are shown in another one's place, where they must teach nothing: the next of its kind in the
    grid, or the next one; UserError where there is no other."""
    every = list(params.grid.concepts)
    if concept not in every:
        every.insert(0, concept)  # one that rates are searched on
    after = every[every.index(concept) + 1 :] + every[: every.index(concept)]
    kin = [c for c in after if kind(params, c) == kind(params, concept)]
    if not after:
        raise UserError(
            f"{params.where('grid', 'concepts')}: grid.concepts: {concept!r} alone: a method shows another concept's "
            "pictures; name two, or take the method out"
        )
    return (kin or after)[0]


def of_one_shape(params: Params) -> bool:
    """Whether sets that a person or the hub gives must have one shape each: a method draws pictures of their class."""
    asked = [prepared.of(m) for m in methods(params).values()]
    drawn = any(asks and asks.pictures and not asks.adapter for asks in asked)
    return drawn and bool(params.fetch.folders or params.fetch.hub)


def kind(params: Params, concept: str) -> str:
    """ "object", "style" or "look"."""
    return params.fetch.kind(concept) or OUTSIDE[concept].kind


def fetched(params: Params) -> list[str]:
    """The concepts whose sets are written: those of the grid and those that rates are searched on. UserError where nothing
    says where one's pictures are."""
    search = params.step_size.concepts if params.searched else ()
    out = list(dict.fromkeys([*params.grid.concepts, *search]))
    for concept in out:
        known(concept, params.fetch, params.where("grid", "concepts"))
    return out
