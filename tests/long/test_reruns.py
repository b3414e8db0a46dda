"""What runs again after which change: by stage, and cell by cell."""

import pandas as pd
from studies import changed


def test_what_is_up_to_date_runs_nothing_and_no_byte_moves(study):
    before = study.bytes()
    said = study.repro()
    assert said.stages == [] and "Data and pipelines are up to date." in said.text
    assert changed(before, study.bytes()) == set() and study.status() == []


def test_in_a_clone_without_outputs_nothing_is_out_of_date(committed, cloned):
    clone = cloned(committed)
    assert not (clone.folder / "models/lora").exists() and not (clone.folder / "samples").exists()
    said = clone.repro("--dry", "--allow-missing")
    assert said.stages == [] and "Data and pipelines are up to date." in said.text
    assert clone.status() == []


def test_comments_docstrings_and_who_runs_it_run_no_cell(study):
    before = study.bytes()
    study.set(execute__jobs=3)
    assert study.repro().stages == []

    study.set(backbone__device="cpu")
    study.edit("src/dopsd/method/flow.py", "    return x0 - noise\n", "    return x0 - noise  # a comment\n")
    study.edit("src/dopsd/training/loop.py", '"""The one training loop, ', '"""A docstring. The one training loop, ')
    study.edit(
        "src/dopsd/evaluation/scores.py",
        '    """A folder of pictures and the sheets that are in it."""\n',
        '    """x."""\n\n',
    )
    said = study.repro()
    assert said.stages == ["keys"] and said.cells == {}
    assert changed(before, study.bytes()) == {"dvc.lock"}

    study.set(train__save_every=5)
    said = study.repro("notebooks")
    assert said.stages == ["keys", "report"] and said.cells == {}  # every setting of the training is the report's
    assert changed(before, study.bytes()) == {"dvc.lock", "reports/keys/report.json"}


def test_a_methods_setting_runs_this_methods_cells_only_and_back_runs_none(study):
    before, lora = study.bytes(), study.keys()
    study.set(methods__dopsd__ema=0.9)
    said = study.repro("evaluate")
    assert said.stages == ["keys", "step_size", "train", "draw", "evaluate"]
    search = {f"step_size {part}": 2 for part in ("train", "draw", "evaluate")}
    assert said.ran == search | {"train": 2, "draw": 2, "evaluate": 2}, said.text
    assert said.cells["train"] == (4, 2, 2) and said.cells["draw"] == (8, 6, 2) and said.cells["evaluate"] == (8, 6, 2)
    for folder in ("models/lora", "samples/cells", "samples/scores"):
        moved = changed({f: d for f, d in before.items() if f.startswith(f"{folder}/")}, study.bytes(folder))
        assert moved and all(file.startswith(f"{folder}/dopsd/beacon") for file in moved), moved
    assert {cell for cell, key in study.keys().items() if key != lora[cell]} == {
        "dopsd/beacon/0",
        "dopsd/beacon/1",
    }

    study.set(methods__dopsd__ema=0.995)
    assert study.repro("evaluate").ran == {}
    assert study.repro().stages == []
    assert changed(before, study.bytes()) == set() and study.status() == []


def test_a_seed_or_a_concept_more_runs_its_own_cells_only_and_back_runs_none(study):
    before, lora = study.bytes(), study.keys()
    study.set(grid__seeds=[0, 1, 2])
    said = study.repro("evaluate")
    assert set(said.stages) == {"keys", "prompts", "step_size", "train", "draw", "evaluate"}
    assert said.cells == {"train": (6, 4, 2), "draw": (12, 8, 4), "evaluate": (12, 8, 4)}, said.text
    assert study.keys().items() > lora.items()
    assert set(study.keys()) - set(lora) == {"sft/beacon/2", "dopsd/beacon/2"}

    study.set(grid__seeds=[0], grid__concepts=["beacon", "pebble"])
    said = study.repro("evaluate")
    assert said.ran == {"train": 2, "draw": 4, "evaluate": 4}, said.text
    assert said.cells["train"] == (4, 2, 2) and said.cells["draw"] == (8, 4, 4) and said.cells["evaluate"] == (8, 4, 4)
    assert set(study.keys()) == {f"{m}/{c}/0" for m in ("sft", "dopsd") for c in ("beacon", "pebble")}

    study.set(grid__seeds=[0, 1], grid__concepts=["beacon"])
    assert study.repro("evaluate").ran == {}
    assert study.repro().stages == []
    assert changed(before, study.bytes()) == set() and study.status() == []


def test_another_way_to_score_scores_all_cells_and_draws_and_trains_none(study):
    before = study.bytes()
    study.edit("src/dopsd/evaluation/instruments/mini_clip.py", '"diversity": Score', '"spread": Score')
    study.edit("src/dopsd/evaluation/instruments/mini_clip.py", 'name == "diversity"', 'name == "spread"')
    said = study.repro("evaluate")
    assert said.ran == {"step_size evaluate": 5, "evaluate": 8}, said.text
    assert said.cells["step_size train"] == (4, 4, 0) and said.cells["evaluate"] == (8, 0, 8)
    now = study.bytes()
    assert not {f for f in changed(before, now) if f.startswith(("models/", "samples/cells/"))}
    scores = {f for f in now if f.startswith("samples/scores/") and f.endswith("scores.parquet")}
    assert len(scores) == 8 and all(now[f] != before[f] for f in scores)
    table = pd.read_parquet(study.folder / "samples/scores.parquet")
    assert "spread" in set(table.score) and "diversity" not in set(table.score)


def test_an_instrument_more_scores_kept_pictures_and_draws_and_trains_none(study):
    before = study.bytes()
    study.set(instruments__kid=None)
    said = study.repro("evaluate")
    assert said.ran == {"step_size evaluate": 5, "evaluate": 8}, said.text
    assert not {f for f in changed(before, study.bytes()) if f.startswith(("models/", "samples/cells/", "data/"))}
    study.set(instruments__kid={"features": "reader"})
    assert study.repro("evaluate").ran == {}
    assert study.repro().stages == [] and changed(before, study.bytes()) == set()
