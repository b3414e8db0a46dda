"""A study's stages over its cells: what is kept under its key is found, the rest is run side by side, all is published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pandas as pd
import torch

from dopsd.config.params import Params
from dopsd.config.study import Evaluate
from dopsd.evaluation.sheets import Sheet, sheets
from dopsd.evaluation.step_size import score
from dopsd.study import grid, keys
from dopsd.study.draw import draw_cell
from dopsd.study.executor import side_by_side
from dopsd.study.grid import Cell
from dopsd.study.score import score_pictures
from dopsd.study.store import CARD, Store, content, publish
from dopsd.study.train import train_cell
from dopsd.support import paths
from dopsd.support.errors import UserError
from dopsd.support.files import read_json, write_json
from dopsd.training.loop import TIME_FILE
from dopsd.training.state import fingerprint


def device_name(device: str) -> str:
    """What a cell ran on: the GPU's name, or "cpu"."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu"


Job = tuple[Callable[..., Path], tuple]  # a worker and its arguments, the device apart
Keyed = tuple[str, Job]  # what makes a cell, and the key that the cell is kept under


@dataclass(frozen=True)
class Drawn:
    """A folder of pictures and the sheets that are in it."""

    folder: Path
    todo: list[Sheet]


class Study:
    """The stages `step_size`, `train`, `draw` and `evaluate` of the study that params.yaml describes."""

    def __init__(self, params: Params, store: Path = paths.STORE):
        self.params, self.store = params, Store(store)
        self.methods = grid.methods(params)

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

    def _concept(self, name: str) -> str:
        """What is in a concept's set; UserError where it is not there."""
        folder = paths.concept_set(name)
        if not (folder / "data.jsonl").exists():
            raise UserError(f"{folder}: missing; run `dvc repro fetch`")
        return content(folder)

    # --- the three kinds of cells: each with its key and the worker that makes it

    def _training(self, who: str, concept: str, seed: int, rate: float) -> Keyed:
        p, method = self.params, self.methods[who]
        given = self._concept(concept), keys.weights(p.backbone, method.needs.seen)
        k = fingerprint("train", keys.train(p)[who], *given, seed, rate)
        manifest = paths.concept_set(concept) / "data.jsonl"
        name = f"{who}/{concept}/{seed}"
        return k, (train_cell, (p.backbone, method, p.train, manifest, seed, rate, self.store.work(k), name))

    def _drawing(self, weights: Path | None, concept: str, seed: int, todo: list[Sheet], described: bool) -> Keyed:
        """weights: the folder of a training, or None. concept: one of the world, or "ordinary"."""
        p, folder, seen = self.params, None, None
        if concept != paths.ORDINARY:
            folder, seen = paths.concept_set(concept), self._concept(concept)
        given = seen, weights and content(weights, (CARD, TIME_FILE)), keys.weights(p.backbone, seen=False)
        k = fingerprint("draw", keys.draw(p), *given, seed, described, todo)
        return k, (draw_cell, (p.backbone, weights, folder, described, seed, todo, p.evaluate, self.store.work(k)))

    def _scoring(
        self, drawn: Drawn, plain: Drawn, concept: str, seed: int, settings: Evaluate, described: bool
    ) -> Keyed:
        """drawn: the cell's pictures; plain: the untouched model's, of the ordinary prompts."""
        seen = *(content(d.folder, (CARD,)) for d in (drawn, plain)), self._concept(concept), keys.instruments()
        k = fingerprint("score", keys.score(settings), *seen, seed, described, drawn.todo)
        sheets = drawn.folder, plain.folder, drawn.todo, plain.todo
        rest = paths.concept_set(concept), described, seed, settings, self.store.work(k)
        return k, (score_pictures, (*sheets, *rest))

    # --- step_size

    def search(self, table: Path) -> pd.DataFrame:
        """Every candidate's scores: rows {method, learning_rate, key, step, fidelity, retention, score}.

        table: what an earlier run wrote; its rows are taken where their key is the same.
        """
        settings, concept = self.params.step_size, self._concept(self.params.step_size.concept)
        known = dict(list(pd.read_csv(table).groupby("key"))) if table.exists() else {}
        candidates = {}
        for name, method in self.methods.items():
            given = concept, keys.weights(self.params.backbone, method.needs.seen), keys.instruments()
            for rate in settings.candidates:
                candidates[fingerprint(keys.search(self.params)[name], *given, settings.seed, rate)] = name, rate
        found = self._searched({k: c for k, c in candidates.items() if k not in known})
        rows = []
        for k, (name, rate) in candidates.items():
            each = known[k].to_dict("records") if k in known else found[k]
            rows += [{"method": name, "learning_rate": rate, "key": k} | r for r in each]
        return pd.DataFrame(rows)

    def _searched(self, candidates: Mapping[str, tuple[str, float]]) -> dict[str, list[dict]]:
        """Train, draw and score candidates {key: (method, learning rate)}, each kept on its own -> {key: rows}."""
        concept, seed = self.params.step_size.concept, self.params.step_size.seed
        settings = self.params.evaluate.in_few_steps
        todo = sheets(settings, self.params.train.kept, every_nfe=False)
        trainings = {k: self._training(who, concept, seed, rate) for k, (who, rate) in candidates.items()}
        trained = self._run("step_size train", dict(trainings.values()))
        plain = [(0, paths.ORDINARY, settings.few)]
        before = self._drawing(None, paths.ORDINARY, seed, plain, False)
        drawings = {k: self._drawing(trained[t], concept, seed, todo, False) for k, (t, _) in trainings.items()}
        drawn = self._run("step_size draw", dict([before, *drawings.values()] if drawings else []))
        scorings = {
            k: self._scoring(Drawn(drawn[d], todo), Drawn(drawn[before[0]], plain), concept, seed, settings, False)
            for k, (d, _) in drawings.items()
        }
        scored = self._run("step_size evaluate", dict(scorings.values()))
        return {k: score(read_json(scored[s] / "scores.json"), settings.few) for k, (s, _) in scorings.items()}

    # --- train

    def train(self) -> None:
        """Every trained cell, to models/lora/<method>/<concept>/<seed>."""
        rates, cells = read_json(paths.STEP_SIZE), {}
        for cell in grid.trained(self.params.grid):
            if cell.method not in rates:
                raise UserError(f"{paths.STEP_SIZE}: no step size for {cell.method!r}; run `dvc repro step_size`")
            cells[cell] = self._training(*cell, rates[cell.method]["value"])
        self._published("train", cells, paths.adapters, paths.LORA)

    # --- draw

    def draw(self) -> None:
        """What every cell draws, to samples/cells/<method>/<concept>/<seed>."""
        cells = {}
        for cell in grid.drawn(self.params.grid):
            adapter = paths.adapters(*cell) if cell.method in self.params.grid.trained else None
            if adapter and not adapter.is_dir():
                raise UserError(f"{adapter}: the adapter is missing; run `dvc repro train`")
            todo = grid.drawings(self.params, cell)
            cells[cell] = self._drawing(adapter, cell.concept, cell.seed, todo, cell.method == "described")
        self._published("draw", cells, paths.samples, paths.PICTURES_OF_CELLS)

    # --- evaluate

    def evaluate(self) -> None:
        """The scores of every cell, to samples/scores/<method>/<concept>/<seed>, and to reports/metrics/cells together."""
        p, cells = self.params, {}
        before = {c.seed: Drawn(paths.samples(*c), grid.drawings(p, c)) for c in grid.ordinary(p.grid)}
        for cell in grid.scored(p.grid):
            drawn, plain = Drawn(paths.samples(*cell), grid.drawings(p, cell)), before[cell.seed]
            for folder in (drawn.folder, plain.folder):
                if not folder.is_dir():
                    raise UserError(f"{folder}: no pictures; run `dvc repro draw`")
            cells[cell] = self._scoring(drawn, plain, cell.concept, cell.seed, p.evaluate, cell.method == "described")
        finished = self._published("evaluate", cells, paths.scores, paths.SCORES)
        together: dict[Path, dict] = {}
        for cell, folder in finished.items():
            file = paths.cells(cell.method, cell.concept)
            together.setdefault(file, {})[str(cell.seed)] = read_json(folder / "scores.json")
        for file, scores in together.items():
            write_json(scores, file)
        for file in set((paths.METRICS / "cells").rglob("*.json")) - set(together):
            file.unlink()


def _kept_by(store: Store, k: str, function: Callable[..., Path], arguments: tuple, device: str) -> Path:
    """Run a worker and take its folder into the store at once, so that a killed run repeats no finished cell."""
    return store.put(k, function(*arguments, device), device=device_name(device))
