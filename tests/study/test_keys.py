"""What a change touches, and what it does not."""

import pytest
import yaml

from dopsd.config.params import load
from dopsd.study import grid, keys
from dopsd.study.grid import Cell


@pytest.fixture
def changed(params, monkeypatch, request):
    """The keys of all stages after a change of params.yaml -> the names of those that moved."""
    monkeypatch.chdir(request.config.rootpath)
    before = keys.all_stages(params)

    def moved(**sections) -> dict[str, object]:
        tree = yaml.safe_load((request.config.rootpath / "params.yaml").read_text(encoding="utf-8"))
        for name, fields in sections.items():
            tree[name] = tree[name] | fields
        file = request.getfixturevalue("tmp_path") / "params.yaml"
        file.write_text(yaml.safe_dump(tree), encoding="utf-8")
        after = keys.all_stages(load(file))
        return {s: after[s] for s in after if after[s] != before[s]}

    moved.before = before
    return moved


def test_who_runs_the_cells_and_how_often_they_save_moves_no_key(changed):
    assert changed(execute={"jobs": 7, "jobs_per_gpu": 2}, backbone={"device": "cpu"}) == {}
    moved = changed(train={"save_every": 5, "cuda_graphs": True})
    assert set(moved) == {"report"}  # which shows the settings as they are


def test_a_methods_own_setting_moves_its_own_cells_only(changed):
    tree = {"sft": {}, "dopsd": {"loss": "x0", "teacher": "ema", "ema": 0.9, "rollout_steps": 4}}
    moved = changed(methods=tree)
    assert set(moved) == {"train", "step_size", "report"}
    for stage in ("train", "step_size"):
        before = changed.before[stage]["methods"]
        assert moved[stage]["methods"]["sft"] == before["sft"] and moved[stage]["methods"]["dopsd"] != before["dopsd"]


def test_a_seed_more_moves_no_cell(changed):
    moved = changed(grid={"seeds": [0, 1, 2, 3]})
    assert moved["train"]["methods"] == changed.before["train"]["methods"] and moved["train"]["seeds"] == [0, 1, 2, 3]
    assert moved["draw"]["code"] == changed.before["draw"]["code"]
    assert set(moved) == {"train", "draw", "evaluate", "report"}


def test_the_eyes_settings_are_no_business_of_a_method_that_sees_nothing(changed):
    moved = changed(backbone={"max_pixels": 8192})
    before = changed.before["train"]["methods"]
    assert moved["train"]["methods"]["sft"] == before["sft"] and moved["train"]["methods"]["dopsd"] != before["dopsd"]
    assert "draw" not in moved and "evaluate" not in moved


def test_more_prompts_are_drawn_but_not_trained(changed):
    assert set(changed(evaluate={"ordinary": 24})) == {"draw", "evaluate", "step_size", "report"}
    assert set(changed(evaluate={"batch_size": 32})) == {"probe", "report"}


def test_the_cells_of_the_grid(params):
    cells = grid.trained(params.grid)
    assert len(cells) == 30 and cells[0] == Cell("sft", "beacon", 0) and cells[0].name == "sft/beacon/0"
    assert len(grid.scored(params.grid)) == 60 and len(grid.drawn(params.grid)) == 63
    last = [s for s in grid.drawings(params, Cell("dopsd", "beacon", 0)) if s[0] == 40]
    assert sorted(last) == [(40, "ordinary", n) for n in (1, 2, 4, 8, 16)] + [(40, "scenes", 4)]
    assert len(grid.drawings(params, Cell("dopsd", "beacon", 1))) == 9
    assert grid.drawings(params, Cell("described", "beacon", 1)) == [(0, "scenes", 4)]
    assert grid.drawings(params, Cell("untouched", "ordinary", 1)) == [(0, "ordinary", 4), (0, "ordinary", 16)]
