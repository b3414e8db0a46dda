"""What a study costs, counted before it runs."""

import json

import pytest
import tiny

from dopsd.study import plan
from dopsd.study.plan import Row


@pytest.mark.parametrize(
    ("method", "settings", "forwards"),
    [
        ("sft", {}, 3),  # forward, and a backward pass of two
        ("dopsd", {"rollout_steps": 4}, 16),  # K (1 + 1 + 2)
        ("dopsd", {"rollout_steps": 2, "teacher": "live"}, 8),
    ],
)
def test_a_training_step_is_counted_in_forwards(method, settings, forwards):
    assert plan.forwards_a_sample(tiny.method(method, **settings).needs) == forwards


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
