"""The benchmark of a study's cells over several GPUs: what is scheduled, timed and put back (on two workers: tests/long)."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from dopsd.study import costs
from dopsd.support.files import read_json

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks"


def test_the_gpu_that_is_free_first_takes_the_next_cell(benchmark):
    of = benchmark("makespan")
    assert of.makespan([1, 1, 4], 1) == 6
    assert (of.makespan([1, 1, 4], 2), of.makespan([1, 1, 4], 2, longest_first=True)) == (5, 4)
    assert of.makespan([3, 3, 2, 2, 2], 2, longest_first=True) == 7  # a rule of thumb: the best is 6
    told = of.scheduled({"train": {"a": 3600, "b": 3600}, "draw": {"a": 1800}}, 2)
    assert told == {"gpus": 2, "cells": 3, "in_order": 1.5, "longest_first": 1.5, "cells_an_hour": 2}


def test_hours_of_a_study_over_gpus_are_those_of_the_plan(benchmark, monkeypatch):
    of = benchmark("makespan")
    made = json.loads(of.OUT.read_text())["studies"]
    assert {study: of.of(study) for study in of.STUDIES} == made
    assert of.table(made) in (FOLDER / "README.md").read_text()
    for study, found in made.items():
        monkeypatch.chdir(ROOT / study)
        params = of.load()
        rows, timed = costs.ahead(of.Study(params)), costs.timed(params)
        whole = sum(r.forwards / timed.speeds["draw" if r.stage == "draw" else "train"] for r in rows) / 3600
        assert found["hours"][0]["in_order"] == pytest.approx(whole)
        assert found["cells"]["train"] == sum(r.cells for r in rows if r.stage == "train")


def test_parts_of_a_cell_are_timed_without_those_within_them(benchmark, monkeypatch, tmp_path):
    cells, copy = benchmark("cells"), shutil.copy
    now = iter(range(0, 100, 10))
    monkeypatch.setattr(cells.Clock, "now", staticmethod(lambda: next(now)))
    monkeypatch.setattr(cells, "PARTS", {"outer": ["shutil.copy"], "inner": ["shutil.copyfile"]})
    (tmp_path / "a").touch()
    made = cells.timed(lambda *given: Path(shutil.copy(*given)), (tmp_path / "a",), tmp_path / "b.json", tmp_path / "c")
    assert made == tmp_path / "c" and made.exists() and shutil.copy is copy
    told = read_json(tmp_path / "b.json")
    assert told["seconds"] == 50 and told["parts"] == {"inner": [10], "outer": [20]}


def test_what_was_cut_is_put_back(benchmark):
    cells = benchmark("cells")
    assert cells.later([9.0, 2.0, 3.0, 2.0], 10) == 9 + 9 * 2 and cells.later([4.0], 3) == 12
    train = SimpleNamespace(kept=[250, 500, 1000])
    study = SimpleNamespace(params=SimpleNamespace(train=train, methods={"pso": {"pictures": 20}}))
    parts = {"step": [5.0, 1.0], "save": [2.0], "class pictures": [3.0]}
    told = {"seconds": 20.0, "parts": parts}  # 9 beside them: opening, encoding
    assert cells.put_back(told, study, "train", ("pso", "dog", 30), 1000) == 9 + (5 + 999) + 3 * 2 + 10 * 3
    parts = {"picture": [3.0, 1.0], "decode": [0.5, 0.5], "write": [1.0, 1.0]}
    told = {"seconds": 20.0, "parts": parts}
    assert cells.put_back(told, study, "draw", ("sft", "dog", 30), 100) == 13 + (3 + 99) + 50 + 100


def test_all_that_is_timed_is_there_and_a_study_is_cut_to_little(benchmark, tmp_path, monkeypatch):
    cells, of = benchmark("cells"), benchmark("random_study")
    for places in cells.PARTS.values():
        assert all(callable(cells.pkgutil.resolve_name(place)) for place in places)
    how = {"gpus": 3, "steps": 2, "size": 64, "compiled": False, "device": "cpu", "dtype": "float32"}
    of.cut(tmp_path, {"model": "m", "vlm": "v"}, how)
    monkeypatch.chdir(tmp_path)
    params, whole = cells.whole(tmp_path), of.whole()
    assert params.grid.trained == whole.grid.trained and params.grid.references == whole.grid.references
    assert len(params.grid.seeds) == params.execute.jobs == 3 and params.train.kept == (2,)
    assert params.train.batch_size == whole.train.batch_size and not params.fetch.hub
    cells.fetch.main()
    cells.prompts.main()
    of.few()
    asked = {
        f.stem: [json.loads(row)["kind"] for row in f.read_text().splitlines()] for f in Path("data/prompts").iterdir()
    }
    assert {k: sorted(v) for k, v in asked.items()} == {
        "dog": ["new", "rewrite"],
        "ordinary": ["ordinary", "reference"],
    }


def test_the_table_of_the_cells_that_ran_is_their_files(benchmark):
    cells = benchmark("cells")
    told = json.loads((FOLDER / "results" / "h200-cells-1.json").read_text())
    assert cells.table(told["cells"], told["study"]) in (FOLDER / "README.md").read_text()
    for found, kept in zip(cells.hours(told["cells"]), told["study"], strict=True):
        assert found == pytest.approx(kept)
    by_step = json.loads((FOLDER / "results" / "zimage-makespan.json").read_text())["studies"]["studies/zimage-small"][
        "hours"
    ]
    for found, foreseen in zip(told["study"], by_step, strict=True):
        assert found["in_order"] == pytest.approx(foreseen["in_order"], rel=0.01)  # as the README says
