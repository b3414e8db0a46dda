"""A study of trainings that follow one another: what remains of each concept after every training of a chain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from dopsd import backbones, objectives
from dopsd.config import chains
from dopsd.config.chains import SEEN, Chains
from dopsd.config.params import Params
from dopsd.evaluation import scores
from dopsd.evaluation.by_world import OTHER_NAME
from dopsd.evaluation.rows import NAMELESS, NEW, ORDINARY, OTHER, PLACEHOLDER, Row
from dopsd.evaluation.scores import Drawn
from dopsd.evaluation.sheets import Sheet
from dopsd.study import code, grid, keys
from dopsd.study.chain import Taught, train_chain_cell
from dopsd.study.grid import Cell
from dopsd.study.pipeline import Drawing, Keyed, Study
from dopsd.study.score import TABLE
from dopsd.support import paths
from dopsd.support.errors import UserError
from dopsd.support.files import read_table, write_table
from dopsd.training import chain
from dopsd.training.state import fingerprint

COLUMNS = (
    "method",
    "chain",
    "concept",
    "seed",
    *scores.COLUMNS,
)  # of the long table; chain: "" where nothing is trained
KINDS = (NEW, NAMELESS, OTHER, ORDINARY)  # asked after every training


def checked(params: Params) -> Chains:
    """The chains of a study; UserError where they, or the trainings that they are made of, cannot be."""
    found = chains.load(params.grid.concepts)
    for name, method in grid.methods(params).items():
        chain.check(params.backbone, method, grid.training(params, name), params.where)
    if params.prompts.source == "world" and OTHER_NAME in found.names:
        raise UserError(f"{chains.FILE}: names: {OTHER_NAME!r} is the name that nothing is taught of; choose another")
    return found


class Continual(Study):
    """The stages `train`, `draw` and `evaluate` of a study with a chains.yaml.

    A chain's K-th training is its step K, and its folder of weights is drawn and scored as a grid's is. Rows without training
    are those of `Study`; a concept's prompts say the name that chains.yaml gives it.
    """

    def __init__(self, params: Params, store: Path = paths.STORE):
        super().__init__(params, store)
        self.chains = checked(params)
        self.lessons = len(self.chains.names)
        self._chain_keys = trains(params)
        self._plain_grid = params.grid.model_copy(update={"trained": ()})

    def rows(self, concept: str, seed: int) -> list[Row]:
        """`Study.rows`, in the concept's own name."""
        found, name = super().rows(concept, seed), self.chains.called.get(concept, PLACEHOLDER)
        return [r.model_copy(update={"text": r.text.replace(PLACEHOLDER, name)}) for r in found]

    def trained(self) -> list[Cell]:
        """The chains that are trained, each in the place of a concept, seeds innermost."""
        seeds = self.params.grid.seeds
        return [Cell(m, name, s) for m in self.methods for name in self.chains.orders for s in seeds]

    @property
    def _taught(self) -> Iterator[tuple[Cell, Cell, Cell]]:
        """(a chain, one of its concepts, where what is drawn of the concept stands)."""
        for cell in self.trained():
            for concept in self.chains.orders[cell.concept]:
                yield cell, cell._replace(concept=concept), cell._replace(concept=f"{cell.concept}/{concept}")

    def sheets(self) -> list[Sheet]:
        """What is drawn of each concept of a chain: after every training in few steps, after the last one in many, too."""
        settings, last = self.params.evaluate, len(self.chains.names)
        few = [Sheet(k, kind, settings.few) for k in range(1, last + 1) for kind in KINDS]
        many = [Sheet(last, kind, settings.many, settings.guidance) for kind in (NEW, ORDINARY)]
        return few + (many if settings.many > settings.few else [])

    def training(self, cell: Cell, rate: float) -> Keyed:
        """A chain's trainings."""
        p, (who, name, seed) = self.params, cell
        order, method, settings = self.chains.orders[name], self.methods[who], grid.training(p, who)
        taught = [Taught(c, paths.concept_set(c) / "data.jsonl", self.chains.called[c]) for c in order]
        given = [(self._content(t.concept), t.name) for t in taught], self._weights(method.needs.seen, seed)
        k = fingerprint("chain", self._chain_keys[who], *given, seed, rate)
        arguments = (self.model(seed), method, settings, taught, seed, rate, self.store.work(k), cell.name)
        return k, (train_chain_cell, arguments)

    def drawings(self) -> Iterator[Drawing]:
        """What every row without training draws, and every chain of each of its concepts, which stands in
        samples/cells/<method>/<chain>/<concept>/<seed>. Where `teacher` is a row of the grid, methods that have one draw,
        after every training, what their next teacher would: in <concept>/seen/<seed>."""
        for cell in grid.drawn(self._plain_grid, self.shared):
            yield Drawing(cell, cell, self.todo(cell), None)
        for trained, concept, place in self._taught:
            yield Drawing(place, concept, self.sheets(), weights := paths.adapters(*trained))
            if "teacher" in self.params.grid.references and self.methods[trained.method].needs.seen:
                few = [Sheet(k, NEW, self.params.evaluate.few) for k in range(1, self.lessons + 1)]
                seen = place._replace(concept=f"{place.concept}/{SEEN}")
                yield Drawing(seen, concept._replace(method="teacher"), few, weights)

    def evaluate(self) -> None:
        """The scores of all that was drawn, to samples/scores, and in one long table: `COLUMNS`."""
        plain = grid.scored(self._plain_grid)
        cells, who = {c: self._scored(c) for c in plain}, {c: c._asdict() | {"chain": ""} for c in plain}
        for place, cell, todo, _ in (d for d in self.drawings() if d.weights):
            if not (folder := paths.samples(*place)).is_dir():
                raise UserError(f"{folder}: no pictures; run `dvc repro draw`")
            untouched = self._plain(cell, "untouched")
            cells[place] = self._scoring([Drawn(folder, todo)], untouched, cell.concept, cell.seed)
            chain_name, concept, *seen = place.concept.split("/")
            who[place] = place._asdict() | {"chain": chain_name, "concept": concept} | ({"kind": SEEN} if seen else {})
        finished = self._published("evaluate", cells, paths.scores, paths.SCORES)
        tables = [read_table(folder / TABLE).assign(**who[cell]) for cell, folder in finished.items()]
        write_table(pd.concat(tables, ignore_index=True).loc[:, list(COLUMNS)], paths.TABLE)


def trains(params: Params) -> dict[str, str]:
    """For each method what a chain of it depends on, as `keys.train` has it of a training."""
    of = backbones.module(params.backbone.name)
    ran = {name: ["dopsd.study.chain", of, objectives.module(m.kind)] for name, m in grid.methods(params).items()}
    return {name: fingerprint(known, code.digest(ran[name])) for name, known in keys.train(params).items()}


def all_stages(params: Params) -> dict[str, dict[str, Any]]:
    """What each stage of the study depends on, as `keys.all_stages`, with the chains."""
    out, asked = keys.all_stages(params), checked(params).model_dump()
    out["train"]["methods"] = trains(params)
    out["report"]["code"] = code.digest(["dopsd.stages.continual", *keys.panel(params).modules()])
    for stage in ("train", "draw", "evaluate", "report"):
        out[stage]["chains"] = asked
    out["draw"]["sheets"] = fingerprint([KINDS, params.evaluate.model_dump(exclude={"batch_size"})])
    return out
