"""A study's stages over its cells: what is kept under its key is found, the rest is run side by side, all is published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import torch

from dopsd.config.params import Params
from dopsd.study import grid, keys
from dopsd.study.draw import draw_cell
from dopsd.study.executor import side_by_side
from dopsd.study.grid import Cell
from dopsd.study.score import score_pictures
from dopsd.study.search import ROWS, search_cell
from dopsd.study.store import CARD, Store, content, publish
from dopsd.study.train import train_cell
from dopsd.support import paths
from dopsd.support.errors import UserError
from dopsd.support.files import read_json, write_json
from dopsd.training.state import fingerprint


def device_name(device: str) -> str:
    """What a cell ran on: the GPU's name, or "cpu"."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu"


class Study:
    """The stages `step_size`, `train`, `draw` and `evaluate` of the study that params.yaml describes."""

    def __init__(self, params: Params, store: Path = paths.STORE):
        self.params, self.store = params, Store(store)
        self.methods = grid.methods(params)

    def _run(
        self, what: str, jobs: Mapping[str, tuple[Callable[..., Path], tuple]], published: Mapping[str, Path]
    ) -> dict[str, Path]:
        """Finished folders by key: found in the store or where they were published, or made now.

        jobs: key -> (worker, arguments). published: key -> where an earlier run may have put it.
        """
        found = {k: self.store.find(k, published.get(k)) for k in jobs}
        missing = [k for k, folder in found.items() if folder is None]
        print(f"{what}: {len(jobs)} cells, {len(jobs) - len(missing)} kept, {len(missing)} to run", flush=True)
        calls = [(self.store, k, *jobs[k]) for k in missing]
        execute, device = self.params.execute, self.params.backbone.device
        made = side_by_side(_kept_by, calls, execute, device, what, self.store.folder / "cluster")
        return {k: folder for k, folder in found.items() if folder} | dict(zip(missing, made, strict=True))

    def _published(
        self,
        what: str,
        keys_of: Mapping[Cell, str],
        jobs: Mapping[str, tuple[Callable[..., Path], tuple]],
        place: Callable[[str, str, int], Path],
        root: Path,
    ) -> dict[Cell, Path]:
        """Every cell's finished folder, published at its place under `root` and nothing else there. Cells of one key (two
        methods that trained the same weights, say) share what was made."""
        places = {cell: place(*cell) for cell in keys_of}
        made = self._run(what, jobs, {k: places[cell] for cell, k in keys_of.items()})
        finished = {cell: made[k] for cell, k in keys_of.items()}
        publish({places[cell]: folder for cell, folder in finished.items()}, root)
        return finished

    def _concept(self, name: str) -> str:
        """What is in a concept's set; UserError where it is not there."""
        folder = paths.concept_set(name)
        if not (folder / "data.jsonl").exists():
            raise UserError(f"{folder}: missing; run `dvc repro fetch`")
        return content(folder)

    # --- step_size

    def search(self, table: Path) -> pd.DataFrame:
        """Every candidate's scores: rows {method, learning_rate, key, step, fidelity, retention, score}.

        table: what an earlier run wrote; its rows are taken where their key is the same.
        """
        p, concept = self.params, paths.concept_set(self.params.step_size.concept)
        settings, seen = keys.search(p), keys.instruments()
        known = dict(list(pd.read_csv(table).groupby("key"))) if table.exists() else {}
        candidates, jobs = {}, {}
        for name, method in self.methods.items():
            given = self._concept(p.step_size.concept), keys.weights(p.backbone, method.needs.seen), seen
            for rate in p.step_size.candidates:
                k = fingerprint("search", settings[name], *given, p.step_size.seed, rate)
                candidates[k] = name, rate
                arguments = (p.backbone, method, p.train, p.evaluate, concept, p.step_size.seed, rate)
                title = f"{name} {p.step_size.concept} {rate:g}"
                if k not in known:
                    jobs[k] = (search_cell, (*arguments, self.store.work(k), title))
        made = self._run("step_size", jobs, {})
        rows = []
        for k, (name, rate) in candidates.items():
            each = known[k].to_dict("records") if k in known else read_json(made[k] / ROWS)["rows"]
            rows += [{"method": name, "learning_rate": rate, "key": k} | r for r in each]
        return pd.DataFrame(rows)

    # --- train

    def train(self) -> None:
        """Every trained cell, to models/lora/<method>/<concept>/<seed>."""
        p, settings, rates = self.params, keys.train(self.params), read_json(paths.STEP_SIZE)
        weights = {name: keys.weights(p.backbone, m.needs.seen) for name, m in self.methods.items()}
        keys_of, jobs = {}, {}
        for cell in grid.trained(p.grid):
            method = self.methods[cell.method]
            if cell.method not in rates:
                raise UserError(f"{paths.STEP_SIZE}: no step size for {cell.method!r}; run `dvc repro step_size`")
            rate = rates[cell.method]["value"]
            given = self._concept(cell.concept), weights[cell.method]
            k = fingerprint("train", settings[cell.method], *given, cell.seed, rate)
            manifest = paths.concept_set(cell.concept) / "data.jsonl"
            keys_of[cell] = k
            arguments = (p.backbone, method, p.train, manifest, cell.seed, rate, self.store.work(k), cell.name)
            jobs[k] = (train_cell, arguments)
        self._published("train", keys_of, jobs, paths.adapters, paths.LORA)

    # --- draw

    def draw(self) -> None:
        """What every cell draws, to samples/cells/<method>/<concept>/<seed>."""
        p, shared = self.params, keys.draw(self.params)
        weights = keys.weights(p.backbone, seen=False)
        keys_of, jobs = {}, {}
        for cell in grid.drawn(p.grid):
            todo, concept, seen = grid.drawings(p, cell), None, None
            if cell.concept != paths.ORDINARY:
                concept, seen = paths.concept_set(cell.concept), self._concept(cell.concept)
            adapter = paths.adapters(*cell) if cell.method in p.grid.trained else None
            if adapter and not adapter.is_dir():
                raise UserError(f"{adapter}: the adapter is missing; run `dvc repro train`")
            given = seen, adapter and content(adapter, (CARD,)), weights
            described = cell.method == "described"
            k = fingerprint("draw", shared, *given, cell.seed, described, todo)
            keys_of[cell] = k
            arguments = (p.backbone, adapter, concept, described, cell.seed, todo, p.evaluate, self.store.work(k))
            jobs[k] = (draw_cell, arguments)
        self._published("draw", keys_of, jobs, paths.samples, paths.PICTURES_OF_CELLS)

    # --- evaluate

    def evaluate(self) -> None:
        """The scores of every cell, to samples/scores/<method>/<concept>/<seed>, and to reports/metrics/cells together."""
        p, shared = self.params, keys.score(self.params)
        seen = keys.instruments()
        before = {c.seed: paths.samples(*c) for c in grid.ordinary(p.grid)}
        plain = {c.seed: grid.drawings(p, c) for c in grid.ordinary(p.grid)}
        keys_of, jobs = {}, {}
        for cell in grid.scored(p.grid):
            pictures, todo, concept = paths.samples(*cell), grid.drawings(p, cell), paths.concept_set(cell.concept)
            for folder in (pictures, before[cell.seed]):
                if not folder.is_dir():
                    raise UserError(f"{folder}: no pictures; run `dvc repro draw`")
            given = content(pictures, (CARD,)), content(before[cell.seed], (CARD,)), self._concept(cell.concept), seen
            described = cell.method == "described"
            k = fingerprint("score", shared, *given, cell.seed, described, todo)
            keys_of[cell] = k
            sheets = (pictures, before[cell.seed], todo, plain[cell.seed])
            arguments = (*sheets, concept, described, cell.seed, p.evaluate, self.store.work(k))
            jobs[k] = (score_pictures, arguments)
        finished = self._published("evaluate", keys_of, jobs, paths.scores, paths.SCORES)
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
