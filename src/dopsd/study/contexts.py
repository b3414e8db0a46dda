"""A study of what the teacher is given: the untouched model draws the same scenes from many contexts, nothing is trained."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from dopsd import backbones
from dopsd.config import contexts
from dopsd.config.backbone import Backbone
from dopsd.config.contexts import Context, Contexts
from dopsd.config.params import Params
from dopsd.evaluation import scores
from dopsd.evaluation.rows import NEW, Row, of_kind
from dopsd.evaluation.seen import KNOWN
from dopsd.evaluation.sheets import Sheet
from dopsd.study import code, grid, keys
from dopsd.study.context import Shown, draw_context_cell, keep_known_cell
from dopsd.study.context_score import READER, score_context_cell
from dopsd.study.grid import Cell
from dopsd.study.pipeline import Drawing, Keyed, Study
from dopsd.study.score import TABLE
from dopsd.study.store import CARD, content
from dopsd.support import paths
from dopsd.support.errors import UserError
from dopsd.support.files import read_table, write_table
from dopsd.training.state import fingerprint
from dopsd.world.outside import WORDLESS

DRAWS, SCORES = "dopsd.study.context", "dopsd.study.context_score"  # the workers


def checked(params: Params) -> Contexts:
    """The contexts of a study; UserError where they, or its settings, cannot be."""
    found = contexts.load()
    if params.grid.trained:
        where = params.where("grid", "trained")
        raise UserError(
            f"{where}: grid.trained: {params.grid.trained[0]!r}; contexts train nothing, write `trained: []`"
        )
    if params.prompts.source != "world":
        where = params.where("prompts", "source")
        raise UserError(
            f"{where}: prompts.source {params.prompts.source}: contexts need scenes that are known; write world"
        )
    if params.instruments.get(READER) is None:
        where = params.where("instruments")
        raise UserError(f"{where}: instruments.{READER}: missing; what is drawn of a seen picture is read by it")
    for name, context in found.contexts.items():
        if name in KNOWN:
            raise UserError(
                f"{contexts.FILE}: contexts.{name}: pictures of this name are known ones; call it otherwise"
            )
        if context.vlm and not hasattr(params.backbone, "vlm"):
            raise UserError(
                f"{contexts.FILE}: contexts.{name}.vlm: backbone {params.backbone.name} sees without a VLM; take it out"
            )
    return found


def eyed(backbone: Backbone, context: Context) -> Backbone:
    """A backbone with the VLM that a context names."""
    return backbone.model_copy(update={"vlm": context.vlm, "vlm_revision": None}) if context.vlm else backbone


class Contextual(Study):
    """The stages `draw` and `evaluate` of a study with a contexts.yaml.

    A cell is a context, or one of `KNOWN`, on a concept with a seed's few-step model.
    """

    def __init__(self, params: Params, store: Path = paths.STORE):
        super().__init__(params, store)
        self.contexts = checked(params)

    @property
    def sheet(self) -> Sheet:
        """What each cell draws."""
        return Sheet(0, NEW, self.params.evaluate.few)

    def cells(self) -> list[Cell]:
        """All cells, seeds innermost. What no words spell out is not described."""
        of, asked = self.params.grid, self.contexts.contexts
        return [
            Cell(name, concept, seed)
            for name in (*asked, *KNOWN)
            for concept in of.concepts
            for seed in of.seeds
            if name in KNOWN or asked[name].says != "described" or concept not in WORDLESS
        ]

    def rows(self, concept: str, seed: int) -> list[Row]:
        """The new scenes that all contexts are asked for."""
        return of_kind(super().rows(concept, seed), NEW, seed)

    def another(self, concept: str) -> str:
        """The concept whose pictures are shown where they must teach nothing."""
        return grid.another(concept, self.params)

    def shown(self, concept: str) -> Shown:
        return Shown(paths.concept_set(concept), paths.concept_set(self.another(concept)))

    @cached_property
    def _draw_code(self) -> str:
        return draws(self.params)

    @cached_property
    def _known_code(self) -> str:
        return code.digest([DRAWS])

    @cached_property
    def _score_code(self) -> str:
        return scored(self.params)

    def _given(self, concept: str, seed: int, other: bool) -> tuple[Any, ...]:
        """What the pictures of any cell depend on: prompts with their scenes, and the sets that are seen. other: that of
        the concept which is shown in the place of this one, too."""
        rows = [r.model_dump() for r in self.rows(concept, seed)]
        return rows, self._content(concept), self._content(self.another(concept)) if other else None, list(self.sheet)

    def drawing(self, cell: Cell) -> Keyed:
        """A cell's pictures."""
        (name, concept, seed), p = cell, self.params
        rows, shown = self.rows(concept, seed), self.shown(concept)
        if name in KNOWN:
            others = self.rows(self.another(concept), seed)
            given = *self._given(concept, seed, True), [r.model_dump() for r in others]
            k = fingerprint("known", self._known_code, name, *given)
            return k, (keep_known_cell, (name, rows, others, shown, self.sheet, self.store.work(k)))
        context = self.contexts.contexts[name]
        model, sees = eyed(self.model(seed), context), context.sees is not None
        weights = keys.weights(model, sees) if context.vlm else self._weights(sees, seed)
        given = context.model_dump(exclude={"label"}), weights, *self._given(concept, seed, context.sees == "other")
        k = fingerprint("context", self._draw_code, self._draw_key(sees), *given)
        arguments = (model, context, rows, shown, self.sheet, p.evaluate.batch_size, self.store.work(k))
        return k, (draw_context_cell, arguments)

    def _drawing(self, weights: Path | None, cell: Cell, todo: list[Sheet]) -> Keyed:
        return self.drawing(cell)

    def todo(self, cell: Cell) -> list[Sheet]:
        return [self.sheet]

    def drawings(self) -> Iterator[Drawing]:
        """What is drawn by the model."""
        for cell in (c for c in self.cells() if c.method not in KNOWN):
            yield Drawing(cell, cell, self.todo(cell), None)

    def draw(self) -> None:
        """What every context draws, and the known pictures, to samples/cells/<context>/<concept>/<seed>."""
        cells = {cell: self.drawing(cell) for cell in self.cells()}
        self._published("draw", cells, paths.samples, paths.PICTURES_OF_CELLS)

    def scoring(self, cell: Cell) -> Keyed:
        """A cell's scores."""
        name, concept, seed = cell
        drawn, student = (self._drawn(cell._replace(method=m)) for m in (name, self.contexts.student))
        context = self.contexts.contexts.get(name)
        sees = context.sees if context else None
        pictures = [content(d.folder, (CARD,)) for d in (drawn, student)]
        given = pictures, sees, *self._given(concept, seed, sees == "other")
        k = fingerprint("context score", self._score_code, self._eyes, *given)
        rows, shown = self.rows(concept, seed), self.shown(concept)
        arguments = (drawn, student, rows, seed, shown, sees, self.params.instruments, self.store.work(k))
        return k, (score_context_cell, arguments)

    def evaluate(self) -> None:
        """The scores of every cell, to samples/scores/<context>/<concept>/<seed>, and all of them in one long table."""
        cells = {cell: self.scoring(cell) for cell in self.cells()}
        finished = self._published("evaluate", cells, paths.scores, paths.SCORES)
        tables = [read_table(folder / TABLE).assign(**cell._asdict()) for cell, folder in finished.items()]
        write_table(pd.concat(tables, ignore_index=True).loc[:, [*Cell._fields, *scores.COLUMNS]], paths.TABLE)


def draws(params: Params) -> str:
    """What code draws a context."""
    return code.digest([DRAWS, backbones.module(params.backbone.name)])


def scored(params: Params) -> str:
    """What scoring a context depends on, whatever was drawn."""
    looking = keys.panel(params)
    return fingerprint(keys.score(params), code.digest([SCORES, *looking.modules()]))


def all_stages(params: Params) -> dict[str, dict[str, Any]]:
    """What each stage of the study depends on."""
    found, every = checked(params), keys.all_stages(params)
    asked = {name: c.model_dump(exclude={"label"}) for name, c in found.contexts.items()}
    over = {"concepts": list(params.grid.concepts), "seeds": list(params.grid.seeds)}
    models = list(keys.turbos(params).values()) or [params.backbone]
    seen = dict.fromkeys(eyed(model, c) for model in models for c in found.contexts.values())
    templates = sorted((code.SOURCE / "report" / "contexts").glob("*.j2"))
    return {
        "fetch": every["fetch"],
        "prompts": every["prompts"],
        "draw": {
            "code": [draws(params), keys.draw(params), keys.draw(params, seen=True)],
            "contexts": asked,
            "nfe": params.evaluate.few,
            "weights": fingerprint([keys.weights(model, seen=True) for model in seen]),
            **over,
        },
        "evaluate": {
            "code": scored(params),
            "contexts": asked,
            "student": found.student,
            "weights": fingerprint(keys.eyes(params)),
            **over,
        },
        "report": {
            "code": code.digest(["dopsd.stages.contexts", *keys.panel(params).modules()]),
            "templates": {f.name: content(f) for f in templates},
            "settings": fingerprint(found.model_dump(), params.model_dump(exclude={"execute", "backbone"})),
        },
    }
