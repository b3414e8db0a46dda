"""A study's stages over its cells: what is kept under its key is found, the rest is run side by side, all is published."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd
import torch

from dopsd.config.backbone import Backbone
from dopsd.config.params import Params
from dopsd.config.train import Train
from dopsd.evaluation import scores
from dopsd.evaluation.drawing import Told
from dopsd.evaluation.rows import NAMELESS, NEW, ORDINARY, REFERENCE, Row
from dopsd.evaluation.scores import Drawn
from dopsd.evaluation.sheets import Sheet, along
from dopsd.evaluation.step_size import COLUMNS, score
from dopsd.method.preparation import Preparation
from dopsd.sets.jsonl import read_set
from dopsd.study import grid, keys
from dopsd.study.draw import draw_cell
from dopsd.study.executor import side_by_side
from dopsd.study.grid import Cell
from dopsd.study.prepared import adapter_cell, train_prepared_cell
from dopsd.study.prepared_whole import train_whole_cell
from dopsd.study.prompts import asked, ordinary_texts
from dopsd.study.score import TABLE, score_pictures
from dopsd.study.store import CARD, Store, content, publish
from dopsd.study.train import train_cell
from dopsd.support import paths, seeds
from dopsd.support.errors import UserError
from dopsd.support.files import number, read_csv, read_json, read_table, write_table
from dopsd.training import identity, prepared
from dopsd.training.results import TIME_FILE
from dopsd.training.state import fingerprint


def device_name(device: str) -> str:
    """What a cell ran on: the GPU's name, or "cpu"."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu"


Job = tuple[Callable[..., Path], tuple]  # a worker and its arguments, the device apart
Keyed = tuple[str, Job]  # what makes a cell, and the key that the cell is kept under
Candidate = tuple[Cell, float]  # a training of the search, and its learning rate
TOLD: dict[str, Told] = {"described": "described", "teacher": "seen"}  # what else rows without training are given
SEARCHED = {NEW, NAMELESS, ORDINARY}  # what a candidate of the search draws


class Drawing(NamedTuple):
    """What a cell draws: its sheets, under the weights of a folder, or the untouched model's (None). place: the cell whose
    place its pictures have."""

    place: Cell
    cell: Cell
    todo: list[Sheet]
    weights: Path | None


class Study:
    """The stages `step_size`, `train`, `draw` and `evaluate` of the study that params.yaml describes."""

    lessons = 1  # trainings of a cell

    def __init__(self, params: Params, store: Path = paths.STORE):
        self.params, self.store = params, Store(store)
        self.methods = grid.methods(params)
        # what many cells share is read, and hashed, once: files do not change while a stage runs
        self._asked, self._content = cache(asked), cache(self._concept)
        self._turbos = keys.turbos(params)
        self._weights = cache(lambda seen, seed: keys.weights(self.model(seed), seen))
        self._bases = cache(lambda: keys.weights(keys.base(params.backbone), seen=False))
        self._draw_key = cache(lambda seen: keys.draw(params, seen))
        self._adapters: dict[str, Keyed] = {}  # by the key of the training that asks for one

    @cached_property
    def _eyes(self) -> list[str]:
        return keys.eyes(self.params)

    @cached_property
    def _train_keys(self) -> dict[str, str]:
        return keys.train(self.params)

    @cached_property
    def _score_key(self) -> str:
        return keys.score(self.params)

    def _run(
        self, what: str, jobs: Mapping[str, Job], published: Mapping[str, Path] = MappingProxyType({})
    ) -> dict[str, Path]:
        """Finished folders by key: found in the store or where they were published, or made now.

        published: key -> where an earlier run may have put it.
        """
        found = {k: self.store.find(k, published.get(k)) for k in jobs}
        missing = [k for k, folder in found.items() if folder is None]
        print(f"{what}: {len(jobs)} cells, {len(jobs) - len(missing)} kept, {len(missing)} to run", flush=True)
        calls = [(self.store, k, *jobs[k]) for k in missing]
        execute, device = self.params.execute, self.params.backbone.device
        made = side_by_side(_kept_by, calls, execute, device, what, self.store.folder / "cluster")
        return {k: folder for k, folder in found.items() if folder} | dict(zip(missing, made, strict=True))

    def _published(
        self, what: str, cells: Mapping[Cell, Keyed], place: Callable[[str, str, int], Path], root: Path
    ) -> dict[Cell, Path]:
        """Every cell's finished folder, published at its place under `root` and nothing else there. Cells of one key (two
        methods that trained the same weights, say) share what was made."""
        places = {cell: place(*cell) for cell in cells}
        made = self._run(what, dict(cells.values()), {k: places[cell] for cell, (k, _) in cells.items()})
        finished = {cell: made[k] for cell, (k, _) in cells.items()}
        publish({places[cell]: folder for cell, folder in finished.items()}, root)
        return finished

    def kept(self, cell: Keyed, published: Path) -> Path | None:
        """The folder of a cell that is finished; None where it is not."""
        return self.store.find(cell[0], published)

    def model(self, seed: int) -> Backbone:
        """The few-step model that a seed's trainings tune."""
        return self._turbos.get(seed, self.params.backbone)

    @cached_property
    def shared(self) -> bool:
        """Whether there are ordinary prompts that all concepts share."""
        return bool(self._asked(paths.ORDINARY))

    def rows(self, concept: str, seed: int) -> list[Row]:
        """The prompts that a cell answers."""
        return [r for r in self._asked(concept) if r.seed in (None, seed)]

    def _concept(self, name: str) -> str:
        """What is in a concept's set; UserError where it is not there."""
        folder = paths.concept_set(name)
        if not (folder / "data.jsonl").exists():
            raise UserError(f"{folder}: missing; run `dvc repro fetch`")
        return content(folder)

    # --- the three kinds of cells: each with its key and the worker that makes it

    def _training(self, who: str, concept: str, seed: int, rate: float) -> Keyed:
        p, method = self.params, self.methods[who]
        name, settings = f"{who}/{concept}/{seed}", grid.training(p, who)
        if prepared.of(method):
            return self._prepared_training(Cell(who, concept, seed), settings, rate)
        other = grid.another(concept, p) if method.needs.another else None
        given = self._content(concept), other and self._content(other), self._weights(method.needs.seen, seed)
        k = fingerprint("train", self._train_keys[who], *given, seed, rate)
        manifest, shown = (c and paths.concept_set(c) / "data.jsonl" for c in (concept, other))
        return k, (
            train_cell,
            (self.model(seed), method, settings, manifest, seed, rate, self.store.work(k), name, shown),
        )

    def _prepared_training(self, cell: Cell, settings: Train, rate: float) -> Keyed:
        """Of a method that asks for a preparation. `_make_adapters` makes the adapter, where it asks for one."""
        who, concept, seed = cell
        method, asks = self.methods[who], prepared.of(self.methods[who])
        assert asks is not None
        adapter = self._adapter(settings, asks, seed) if asks.adapter else None
        model = keys.base(self.params.backbone) if asks.base else self.model(seed)
        weights = self._bases() if asks.base else self._weights(method.needs.seen, seed)
        k = fingerprint(
            "train", self._train_keys[who], self._content(concept), adapter and adapter[0], weights, seed, rate
        )
        if adapter:
            self._adapters[k] = adapter
        place = adapter and self.store.place(adapter[0])
        manifest = paths.concept_set(concept) / "data.jsonl"
        given = (model, method, settings, manifest, seed, rate, self.store.work(k), cell.name)
        if settings.tune == "full":
            return k, (train_whole_cell, given)
        arguments = (*given, place)
        return k, (train_prepared_cell, arguments)

    def _adapter(self, settings: Train, asks: Preparation, seed: int) -> Keyed:
        """An adapter of the few-step model that a seed's trainings tune."""
        texts = ordinary_texts(self.params, asks.pictures)
        given = self._weights(False, seed), settings.result(), vars(asks), texts, self.params.fetch.size
        k = fingerprint("adapter", keys.adapter(self.params), *given)
        return k, (adapter_cell, (self.model(seed), asks, settings, texts, self.params.fetch.size, self.store.work(k)))

    def _make_adapters(self, trainings: Mapping[str, Path | None]) -> None:
        """Make the adapters that trainings ask for, once each, of those that are not finished: key -> where an earlier run
        may have put it."""
        wanted = [
            self._adapters[k] for k, place in trainings.items() if k in self._adapters and not self.store.find(k, place)
        ]
        if wanted:
            self._run("adapters", dict(wanted))

    def _drawing(self, weights: Path | None, cell: Cell, todo: list[Sheet]) -> Keyed:
        """weights: the folder of a training, or None. cell.concept: one of the study's, or "ordinary"."""
        (who, concept, seed), items, seen = cell, [], None
        base, told = who == "base", TOLD.get(who, "said")
        model = keys.base(self.params.backbone) if base else self.model(seed)
        if concept != paths.ORDINARY:
            items, seen = read_set(paths.concept_set(concept) / "data.jsonl"), self._content(concept)
        asks = {(s.kind, s.chance) for s in todo}
        rows = [r for r in self.rows(concept, seed) if (r.kind, r.chance) in asks]
        if unasked := asks - {(r.kind, r.chance) for r in rows}:
            kinds = ", ".join(sorted(kind for kind, _ in unasked))
            raise UserError(f"{paths.prompts(concept)}: no prompts of kind {kinds}; run `dvc repro prompts`")
        if who == "again":
            rows = [r.model_copy(update={"noise": seeds.number("again", r.noise)}) for r in rows]
        mine = self._bases() if base else self._weights(told == "seen", seed)
        given = seen, weights and content(weights, (CARD, TIME_FILE, identity.FILE)), mine
        k = fingerprint("draw", self._draw_key(told == "seen"), *given, keys.drawn(rows, told), todo)
        at = {s.step: weights / f"step-{s.step:04d}" for s in todo} if weights else {}
        arguments = (model, at, rows, items, seed, told, todo, self.params.evaluate.batch_size)
        return k, (draw_cell, (*arguments, self.store.work(k)))

    def _scoring(self, drawn: Sequence[Drawn], plain: Drawn, concept: str, seed: int) -> Keyed:
        """drawn: the cell's pictures; plain: the untouched model's, of the ordinary prompts."""
        p = self.params
        rows = self.rows(concept, seed)
        seen = [(content(d.folder, (CARD,)), d.todo) for d in (*drawn, plain)]
        given = self._content(concept), self._eyes, [r.model_dump() for r in rows], seed
        k = fingerprint("score", self._score_key, seen, *given)
        folder = paths.concept_set(concept)
        scene = folder / "scene.json"  # of what the world made
        own = (read_json(scene).get("attributes") or {"look": concept}) if scene.exists() else None
        about = read_set(folder / "data.jsonl"), own
        return k, (score_pictures, (drawn, plain, rows, seed, *about, p.instruments, False, self.store.work(k)))

    # --- step_size

    def search(self, table: Path) -> pd.DataFrame:
        """Every candidate's scores: rows {method, learning_rate, key, step, fidelity, retention}.

        table: what an earlier run wrote; its rows are taken where their key is the same.
        """
        p, settings = self.params, self.params.step_size
        if not p.searched:
            return pd.DataFrame(columns=COLUMNS)
        keys.check(p)
        known = dict(list(read_csv(table, *COLUMNS).groupby("key"))) if table.exists() else {}
        candidates: list[tuple[str, Candidate]] = []
        for concept in settings.concepts:
            prompts = [r.model_dump() for r in self.rows(concept, settings.seed)]
            for name, of in keys.search(p).items():
                needs = self.methods[name].needs
                other = self._content(grid.another(concept, p)) if needs.another else None
                given = self._content(concept), other, self._weights(needs.seen, settings.seed), self._eyes
                for rate in settings.candidates:
                    k = fingerprint(of, *given, prompts, settings.seed, rate)
                    candidates.append((k, (Cell(name, concept, settings.seed), rate)))
        found = self._searched({k: c for k, c in candidates if k not in known})
        rows = []
        for k, (cell, rate) in candidates:
            each = known[k].to_dict("records") if k in known else found[k]
            who = {"method": cell.method, "concept": cell.concept, "learning_rate": rate, "key": k}
            rows += [r | who for r in each]
        return pd.DataFrame(rows, columns=COLUMNS)

    def _searched(self, candidates: Mapping[str, Candidate]) -> dict[str, list[dict]]:
        """Train, draw and score candidates, each kept on its own -> {key: rows}."""
        if not candidates:
            return {}
        p, settings = self.params, self.params.evaluate.in_few_steps
        trainings = {k: self._training(*cell, rate) for k, (cell, rate) in candidates.items()}
        self._make_adapters({k: None for k, _ in trainings.values()})
        trained = self._run("step_size train", dict(trainings.values()))
        plain = {}  # the untouched model's of each concept
        for cell in {cell._replace(method="untouched") for cell, _ in candidates.values()}:
            todo = along(settings, [0], (ORDINARY,), every_nfe=False)
            has_other = any(r.kind == REFERENCE for r in self.rows(cell.concept, cell.seed))
            todo += [s._replace(kind=REFERENCE) for s in todo if has_other]
            at = cell._replace(concept=paths.ORDINARY) if self.shared else cell
            plain[cell.concept] = *self._drawing(None, at, todo), todo
        drawings = {}
        for k, (cell, _) in candidates.items():
            asked = {r.kind for r in self.rows(cell.concept, cell.seed)}  # a domain's name is in no prompt
            todo = along(settings, [grid.training(p, cell.method).steps], asked & SEARCHED, every_nfe=False)
            drawings[k] = *self._drawing(trained[trainings[k][0]], cell, todo), todo
        drawn = self._run("step_size draw", {k: job for k, job, _ in (*plain.values(), *drawings.values())})
        before = {c: Drawn(drawn[k], todo) for c, (k, _, todo) in plain.items()}
        scorings = {}
        for k, (cell, _) in candidates.items():
            d, _, todo = drawings[k]
            scorings[k] = self._scoring([Drawn(drawn[d], todo)], before[cell.concept], cell.concept, cell.seed)
        untouched = {c: self._scoring([mine], mine, c, p.step_size.seed) for c, mine in before.items()}
        scored = self._run("step_size evaluate", dict([*untouched.values(), *scorings.values()]))
        tables = {k: read_table(folder / TABLE) for k, folder in scored.items()}
        return {
            k: score(tables[s], tables[untouched[candidates[k][0].concept][0]], p.step_size)
            for k, (s, _) in scorings.items()
        }

    # --- train

    def trained(self) -> list[Cell]:
        """The cells that are trained."""
        return grid.trained(self.params.grid)

    def training(self, cell: Cell, rate: float) -> Keyed:
        """A cell's training."""
        return self._training(*cell, rate)

    def train(self) -> None:
        """Every trained cell, to models/lora/<method>/<concept>/<seed>."""
        cells, rates = {}, read_json(paths.STEP_SIZE)
        for cell in self.trained():
            if cell.method not in rates:
                raise UserError(f"{paths.STEP_SIZE}: no step size for {cell.method!r}; run `dvc repro step_size`")
            cells[cell] = self.training(cell, number(paths.STEP_SIZE, cell.method, "value"))
        self._make_adapters({k: paths.adapters(*cell) for cell, (k, _) in cells.items()})
        self._published("train", cells, paths.adapters, paths.LORA)

    # --- draw

    def todo(self, cell: Cell) -> list[Sheet]:
        """The sheets that a cell draws."""
        return grid.drawings(self.params, cell, self._asked(cell.concept), self.shared)

    def drawings(self) -> Iterator[Drawing]:
        """All that is drawn."""
        for cell in grid.drawn(self.params.grid, self.shared):
            weights = paths.adapters(*cell) if cell.method in self.params.grid.trained else None
            yield Drawing(cell, cell, self.todo(cell), weights)

    def draw(self) -> None:
        """What every cell draws, to samples/cells/<method>/<concept>/<seed>."""
        cells = {}
        for place, cell, todo, weights in self.drawings():
            if weights and not weights.is_dir():
                raise UserError(f"{weights}: the adapter is missing; run `dvc repro train`")
            cells[place] = self._drawing(weights, cell, todo)
        self._published("draw", cells, paths.samples, paths.PICTURES_OF_CELLS)

    # --- evaluate

    def evaluate(self) -> None:
        """The scores of every cell, to samples/scores/<method>/<concept>/<seed>, and all of them in one long table."""
        cells = {cell: self._scored(cell) for cell in grid.scored(self.params.grid)}
        finished = self._published("evaluate", cells, paths.scores, paths.SCORES)
        tables = [read_table(folder / TABLE).assign(**cell._asdict()) for cell, folder in finished.items()]
        write_table(pd.concat(tables, ignore_index=True).loc[:, [*Cell._fields, *scores.COLUMNS]], paths.TABLE)

    def _scored(self, cell: Cell) -> Keyed:
        """The scores of what a cell drew, and of the ordinary prompts that it shares with others."""
        drawn, plain = self._drawn(cell), self._plain(cell, "untouched")
        mine = [drawn]
        if cell.method in grid.CONCEPTLESS and self.shared:
            mine.append(self._plain(cell, cell.method))
        if cell.method == "described":  # of prompts that ask for no concept it draws what the untouched model does
            mine.append(plain)
        return self._scoring(mine, plain, cell.concept, cell.seed)

    def _drawn(self, cell: Cell) -> Drawn:
        """What a cell drew; UserError where it is not there."""
        folder, todo = paths.samples(*cell), self.todo(cell)  # what is asked is read first: an earlier stage wrote it
        if not folder.is_dir():
            raise UserError(f"{folder}: no pictures; run `dvc repro draw`")
        return Drawn(folder, todo)

    def _plain(self, cell: Cell, who: str) -> Drawn:
        """What a row without training drew of the ordinary prompts that a cell answers."""
        drawn = self._drawn(Cell(who, paths.ORDINARY if self.shared else cell.concept, cell.seed))
        return Drawn(drawn.folder, [s for s in drawn.todo if s.kind in (ORDINARY, REFERENCE)])


def _kept_by(store: Store, k: str, function: Callable[..., Path], arguments: tuple, device: str) -> Path:
    """Run a worker and take its folder into the store at once, so that a killed run repeats no finished cell."""
    return store.put(k, function(*arguments, device), device=device_name(device))
