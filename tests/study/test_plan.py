"""What a study costs, counted before it runs."""

import json
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import save_file

from dopsd.config.runs import Run
from dopsd.study import plan
from dopsd.study.plan import Row


@pytest.mark.parametrize(
    ("method", "settings", "forwards"),
    [
        ("sft", {}, 3),  # forward, and a backward pass of two
        ("sft", {"states": 4}, 12),
        ("sft_teacher", {"rollout_steps": 4}, 7),  # K of the teacher's, that draws
        ("off_policy", {"rollout_steps": 4}, 16),
        ("dopsd", {"rollout_steps": 4}, 16),  # K (1 + 1 + 2)
        ("dopsd", {"rollout_steps": 2, "teacher": "live"}, 8),
    ],
)
def test_a_training_step_is_counted_in_forwards(method, settings, forwards):
    assert tiny.method(method, **settings).needs.forwards == forwards


def test_memory_is_counted_from_the_shapes_in_the_weights_files(tmp_path, all_settings, train_settings):
    settings, train = all_settings["zimage"], train_settings.model_copy(update={"lora_rank": 4})
    said = plan.memory(settings.model_copy(update={"dtype": "float32"}), train)
    assert said.startswith("memory: up to 0.00 GiB a training for weights and optimiser")
    (tmp_path / "transformer").mkdir()
    save_file({"a": torch.zeros(1024, 1024), "b": torch.zeros(64)}, tmp_path / "transformer" / "x.safetensors")
    big = settings.model_copy(update={"model": str(tmp_path), "dtype": "bfloat16"})
    rank = train.model_copy(update={"lora_rank": 1024})
    expected = ((1024 * 1024 + 64) * 2 + 1024 * 2048 * 20) / 2**30
    assert f"up to {expected:.2f} GiB" in plan.memory(big, rank)
    full = train.model_copy(update={"tune": "full", "offload": False})
    assert f"up to {(1024 * 1024 + 64) * 22 / 2**30:.2f} GiB" in plan.memory(big, full)
    less = full.model_copy(update={"offload": True})
    assert f"up to {(1024 * 1024 + 64) * 6 / 2**30:.2f} GiB" in plan.memory(big, less)
    nowhere = settings.model_copy(update={"model": "Tongyi-MAI/Z-Image-Turbo"})
    assert "not known before the weights of Tongyi-MAI/Z-Image-Turbo" in plan.memory(nowhere, train)


def test_hours_come_from_finished_trainings_or_are_not_known(tmp_path):
    for i, seconds in enumerate((30.0, 50.0)):
        (tmp_path / str(i)).mkdir()
        (tmp_path / str(i) / "time.json").write_text(json.dumps({"seconds": seconds, "steps": 40}))
    assert plan.measured([tmp_path / "0", tmp_path / "1", tmp_path]) == 40.0 and plan.measured([tmp_path]) is None
    rows = [
        Row("train", "sft", 4, 2, 480, 7200.0),
        Row("draw", "sft", 4, 2, 100, None),
        Row("draw", "x", 3, 3, 0, None),
    ]
    table = plan.table(rows)
    assert list(table["to run"]) == [2, 2, 0] and list(table.hours) == ["2.00", "not measured", ""]
    assert list(plan.table(rows, {"draw": 0.05}).hours) == ["2.00", "0.556 on record", ""]


def test_hours_by_record_are_of_all_that_is_to_run():
    rows = [Row("step_size", "sft", 4, 0, 3600, None), Row("train", "sft", 4, 0, 3600, None)]
    rows += [Row("draw", "sft", 4, 0, 7200, None)]
    ran = Run(devices=2, device="x", torch="2", seconds={"train": 5, "draw": 10}, forwards={"train": 10, "draw": 40})
    assert plan.by_record(rows, [ran]) == "hours: 3.00 of one device like those on record (x), scoring apart"
    assert "no runs.yaml" in plan.by_record(rows, []) and "no runs.yaml" in plan.by_record(
        rows, [ran.model_copy(update={"forwards": {"train": 10}})]
    )


def test_the_runs_of_the_study_that_is_extended_are_on_record(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "b")
    Path("params.yaml").write_text("extends: ../a/params.yaml\n")
    assert plan.on_record() == ()
    Path("../a/runs.yaml").write_text("runs: [{devices: 1, device: x, torch: '2', seconds: {train: 1}}]")
    assert [run.device for run in plan.on_record()] == ["x"]
    Path("runs.yaml").write_text("runs: [{devices: 1, device: y, torch: '2', seconds: {train: 1}}]")
    assert [run.device for run in plan.on_record()] == ["y"]
