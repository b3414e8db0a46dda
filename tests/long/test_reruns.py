"""What runs again after which change: by stage, and cell by cell."""


def test_what_is_up_to_date_runs_nothing_and_no_byte_moves(study):
    before = study.bytes()
    said = study.repro()
    assert said.stages == [] and "Data and pipelines are up to date." in said.text
    assert study.bytes() == before and study.status() == []


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

    study.set(backbone__device="cpu", train__save_every=5)
    study.edit("src/dopsd/method/flow.py", "    return x0 - noise\n", "    return x0 - noise  # a comment\n")
    study.edit("src/dopsd/training/loop.py", '"""The one training loop, ', '"""A docstring. The one training loop, ')
    study.edit("src/dopsd/evaluation/scores.py", '    """What looks at the pictures."""\n', '    """Otherwise."""\n\n')
    said = study.repro()
    assert said.stages == ["keys"] and said.cells == {}
    assert {k: v for k, v in study.bytes().items() if k != "dvc.lock"} == {
        k: v for k, v in before.items() if k != "dvc.lock"
    }


def test_a_methods_setting_runs_this_methods_cells_only_and_back_runs_none(study):
    before, lora = study.bytes(), study.keys()
    study.set(methods__dopsd__ema=0.9)
    said = study.repro("evaluate")
    assert said.stages == ["keys", "step_size", "train", "draw", "evaluate"]
    assert said.ran == {"step_size": 2, "train": 2, "draw": 2, "evaluate": 2}, said.text
    assert said.cells["train"] == (4, 2, 2) and said.cells["draw"] == (10, 8, 2) and said.cells["evaluate"] == (8, 6, 2)
    for folder in ("models/lora", "samples/cells", "samples/scores", "reports/metrics/cells"):
        changed = {file for file, digest in study.bytes(folder).items() if digest != before[file]}
        assert changed and all(file.startswith(f"{folder}/dopsd/beacon") for file in changed), changed
    assert {cell for cell, key in study.keys().items() if key != lora[cell]} == {
        "dopsd/beacon/0",
        "dopsd/beacon/1",
    }

    study.set(methods__dopsd__ema=0.995)
    assert study.repro("evaluate").ran == {}
    assert study.repro().stages == []
    assert study.bytes() == before and study.status() == []


def test_a_seed_or_a_concept_more_runs_its_own_cells_only_and_back_runs_none(study):
    before, lora = study.bytes(), study.keys()
    study.set(grid__seeds=[0, 1, 2])
    said = study.repro("evaluate")
    assert said.stages == ["keys", "train", "draw", "evaluate"]
    assert said.cells == {"train": (6, 4, 2), "draw": (15, 10, 5), "evaluate": (12, 8, 4)}, said.text
    assert study.keys().items() > lora.items()
    assert set(study.keys()) - set(lora) == {"sft/beacon/2", "dopsd/beacon/2"}

    study.set(grid__seeds=[0], grid__concepts=["beacon", "pebble"])
    said = study.repro("evaluate")
    assert said.ran == {"train": 2, "draw": 4, "evaluate": 4}, said.text
    assert said.cells["train"] == (4, 2, 2) and said.cells["draw"] == (9, 5, 4) and said.cells["evaluate"] == (8, 4, 4)
    assert set(study.keys()) == {f"{m}/{c}/0" for m in ("sft", "dopsd") for c in ("beacon", "pebble")}

    study.set(grid__seeds=[0, 1], grid__concepts=["beacon"])
    assert study.repro("evaluate").ran == {}
    assert study.repro().stages == []
    assert study.bytes() == before and study.status() == []


def test_another_way_to_score_scores_all_cells_and_draws_and_trains_none(study):
    before = study.bytes()
    diversity = "interval(fidelity.diversity(features, group).numpy())"
    study.edit("src/dopsd/evaluation/scores.py", f'["diversity"] = {diversity}', f'["spread"] = {diversity}')
    said = study.repro("evaluate")
    assert "train" not in said.ran and "draw" not in said.ran
    assert said.cells["evaluate"] == (8, 0, 8), said.text
    now = study.bytes()
    assert {f for f in now if now[f] != before[f] and f.startswith(("models/", "samples/cells/"))} == set()
    scores = {f for f in now if f.startswith("samples/scores/") and f.endswith("scores.json")}
    assert len(scores) == 8 and all(now[f] != before[f] for f in scores)
    assert '"spread"' in (study.folder / "reports/metrics/cells/sft/beacon.json").read_text()
