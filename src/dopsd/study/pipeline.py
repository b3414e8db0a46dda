"""A study's stages over its cells: what is kept under its key is found, the rest is run side by side, all is published."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType

import pandas as pd
import torch

from dopsd.config.params import Params
from dopsd.evaluation import scores
from dopsd.evaluation.rows import NEW, ORDINARY, Row
from dopsd.evaluation.scores import Drawn
from dopsd.evaluation.sheets import Sheet, along
from dopsd.evaluation.step_size import COLUMNS, score
from dopsd.sets.jsonl import read_set
from dopsd.study import grid, keys
from dopsd.study.draw import draw_cell
from dopsd.study.executor import side_by_side
from dopsd.study.grid import Cell
from dopsd.study.prompts import asked
from dopsd.study.score import TABLE, score_pictures
from dopsd.study.store import CARD, Store, content, publish
from dopsd.study.train import train_cell
from dopsd.support import paths
from dopsd.support.errors import UserError
from dopsd.support.files import number, read_csv, read_json, read_table, write_table
from dopsd.training import identity
from dopsd.training.results import TIME_FILE
from dopsd.training.state import fingerprint


def device_name(device: str) -> str:
    """What a cell ran on: the GPU's name, or "cpu"."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu"


Job = tuple[Callable[..., Path], tuple]  # a worker and its arguments, the device apart
Keyed = tuple[str, Job]  # what makes a cell, and the key that the cell is kept under


class Study:
    """The stages `step_size`, `train`, `draw` and `evaluate` of the study that params.yaml describes."""

    def __init__(self, params: Params, store: Path = paths.STORE):
        self.params, self.store = params, Store(store)
        self.methods = grid.methods(params)
        # what many cells share is read, and hashed, once: files do not change while a stage runs
        self._asked, self._content = cache(asked), cache(self._concept)
        self._weights = cache(lambda seen: keys.weights(params.backbone, seen))

    @cached_property
    def _eyes(self) -> list[str]:
        return keys.eyes(self.params)

    @cached_property
    def _train_keys(self) -> dict[str, str]:
        return keys.train(self.params)

    @cached_property
    def _draw_key(self) -> str:
        return keys.draw(self.params)

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
        given = self._content(concept), self._weights(method.needs.seen)
        k = fingerprint("train", self._train_keys[who], *given, seed, rate)
        manifest = paths.concept_set(concept) / "data.jsonl"
        name = f"{who}/{concept}/{seed}"
        return k, (train_cell, (p.backbone, method, p.train, manifest, seed, rate, self.store.work(k), name))

    def _drawing(
        self, weights: Path | None, concept: str, seed: int, todo: list[Sheet], described: bool, base: bool = False
    ) -> Keyed:
        """weights: the folder of a training, or None. concept: one of the study's, or "ordinary". base: draw with the
        undistilled model."""
        p, items, seen = self.params, [], None
        model = keys.base(p.backbone) if base else p.backbone
        if concept != paths.ORDINARY:
            items, seen = read_set(paths.concept_set(concept) / "data.jsonl"), self._content(concept)
        kinds = {s.kind for s in todo}
        rows = [r for r in self.rows(concept, seed) if r.kind in kinds]
        given = seen, weights and content(weights, (CARD, TIME_FILE, identity.FILE)), self._weights(False)
        given = (*given, keys.weights(model, seen=False)) if base else given
        k = fingerprint("draw", self._draw_key, *given, keys.drawn(rows, described), todo)
        at = {s.step: weights / f"step-{s.step:04d}" for s in todo} if weights else {}
        arguments = (model, at, rows, items, seed, described, todo, p.evaluate.batch_size)
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
        own = read_json(scene).get("attributes") if scene.exists() else None
        about = read_set(folder / "data.jsonl"), own
        return k, (score_pictures, (drawn, plain, rows, seed, *about, p.instruments, self.store.work(k)))

    # --- step_size

    def search(self, table: Path) -> pd.DataFrame:
        """Every candidate's scores: rows {method, learning_rate, key, step, fidelity, retention}.

        table: what an earlier run wrote; its rows are taken where their key is the same.
        """
        settings, concept = self.params.step_size, self.params.step_size.concept
        if not self.params.searched or concept is None:
            return pd.DataFrame(columns=COLUMNS)
        keys.check(self.params)
        known = dict(list(read_csv(table, *COLUMNS).groupby("key"))) if table.exists() else {}
        prompts = [r.model_dump() for r in self.rows(concept, settings.seed)]
        candidates = {}
        for name, of in keys.search(self.params).items():
            given = self._content(concept), self._weights(self.methods[name].needs.seen), self._eyes
            for rate in settings.candidates:
                k = fingerprint(of, *given, prompts, settings.seed, rate)
                candidates[k] = name, rate
        found = self._searched(concept, {k: c for k, c in candidates.items() if k not in known})
        rows = []
        for k, (name, rate) in candidates.items():
            each = known[k].to_dict("records") if k in known else found[k]
            rows += [{"method": name, "learning_rate": rate, "key": k} | r for r in each]
        return pd.DataFrame(rows, columns=COLUMNS)

    def _searched(self, concept: str, candidates: Mapping[str, tuple[str, float]]) -> dict[str, list[dict]]:
        """Train, draw and score candidates {key: (method, learning rate)}, each kept on its own -> {key: rows}."""
        if not candidates:
            return {}
        p, seed, settings = self.params, self.params.step_size.seed, self.params.evaluate.in_few_steps
        in_few = p.model_copy(update={"evaluate": settings})
        kinds = {r.kind for r in self._asked(paths.ORDINARY)}
        plain_todo = grid.drawings(in_few, Cell("untouched", paths.ORDINARY, seed), kinds)
        todo = along(settings, p.train.kept, (NEW, ORDINARY), every_nfe=False)
        trainings = {k: self._training(who, concept, seed, rate) for k, (who, rate) in candidates.items()}
        trained = self._run("step_size train", dict(trainings.values()))
        before = self._drawing(None, paths.ORDINARY, seed, plain_todo, False)
        drawings = {k: self._drawing(trained[t], concept, seed, todo, False) for k, (t, _) in trainings.items()}
        drawn = self._run("step_size draw", dict([before, *drawings.values()]))
        plain = Drawn(drawn[before[0]], plain_todo)
        untouched = self._scoring([plain], plain, concept, seed)
        scorings = {k: self._scoring([Drawn(drawn[d], todo)], plain, concept, seed) for k, (d, _) in drawings.items()}
        scored = self._run("step_size evaluate", dict([untouched, *scorings.values()]))
        before_table = read_table(scored[untouched[0]] / TABLE)
        return {k: score(read_table(scored[s] / TABLE), before_table, p.step_size) for k, (s, _) in scorings.items()}

    # --- train

    def train(self) -> None:
        """Every trained cell, to models/lora/<method>/<concept>/<seed>."""
        cells, rates = {}, read_json(paths.STEP_SIZE)
        for cell in grid.trained(self.params.grid):
            if cell.method not in rates:
                raise UserError(f"{paths.STEP_SIZE}: no step size for {cell.method!r}; run `dvc repro step_size`")
            cells[cell] = self._training(*cell, number(paths.STEP_SIZE, cell.method, "value"))
        self._published("train", cells, paths.adapters, paths.LORA)

    # --- draw

    def todo(self, cell: Cell) -> list[Sheet]:
        """The sheets that a cell draws."""
        return grid.drawings(self.params, cell, {r.kind for r in self._asked(cell.concept)})

    def draw(self) -> None:
        """What every cell draws, to samples/cells/<method>/<concept>/<seed>."""
        cells = {}
        for cell in grid.drawn(self.params.grid):
            adapter = paths.adapters(*cell) if cell.method in self.params.grid.trained else None
            if adapter and not adapter.is_dir():
                raise UserError(f"{adapter}: the adapter is missing; run `dvc repro train`")
            described, base = cell.method == "described", cell.method == "base"
            cells[cell] = self._drawing(adapter, cell.concept, cell.seed, self.todo(cell), described, base)
        self._published("draw", cells, paths.samples, paths.PICTURES_OF_CELLS)

    # --- evaluate

    def evaluate(self) -> None:
        """The scores of every cell, to samples/scores/<method>/<concept>/<seed>, and all of them in one long table."""
        p, cells = self.params, {}
        before = {(c.method, c.seed): Drawn(paths.samples(*c), self.todo(c)) for c in grid.ordinary(p.grid)}
        for cell in grid.scored(p.grid):
            drawn, plain = Drawn(paths.samples(*cell), self.todo(cell)), before["untouched", cell.seed]
            for folder in (drawn.folder, plain.folder):
                if not folder.is_dir():
                    raise UserError(f"{folder}: no pictures; run `dvc repro draw`")
            # ordinary prompts ask for no concept, so what an untrained model drew of them is any concept's
            mine = [drawn]
            if cell.method in p.grid.references:
                mine.append(before.get((cell.method, cell.seed), plain))
            cells[cell] = self._scoring(mine, plain, cell.concept, cell.seed)
        finished = self._published("evaluate", cells, paths.scores, paths.SCORES)
        tables = [read_table(folder / TABLE).assign(**cell._asdict()) for cell, folder in finished.items()]
        write_table(pd.concat(tables, ignore_index=True).loc[:, [*Cell._fields, *scores.COLUMNS]], paths.TABLE)


def _kept_by(store: Store, k: str, function: Callable[..., Path], arguments: tuple, device: str) -> Path:
    """Run a worker and take its folder into the store at once, so that a killed run repeats no finished cell."""
    return store.put(k, function(*arguments, device), device=device_name(device))
