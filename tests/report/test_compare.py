"""Two commits of a small repository, compared as the notebook does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from dopsd.report import compare
from dopsd.support.errors import UserError

GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org")


@pytest.fixture
def commits(tmp_path, monkeypatch):
    """A repository with one commit, and another state in the working tree."""
    monkeypatch.chdir(tmp_path)
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, check=True, capture_output=True)
    Path("reports").mkdir()

    def write(fidelity: float, steps: int) -> None:
        Path("reports/summary.json").write_text(json.dumps({"sft": {"fidelity": fidelity, "leakage": 0.1}}))
        Path("params.yaml").write_text(f"train: {{steps: {steps}, seeds: [0, 1]}}\n")

    write(0.5, 40)
    subprocess.run([*GIT, "add", "-A"], check=True)
    subprocess.run([*GIT, "commit", "-qm", "first"], check=True)
    write(0.75, 20)


def test_the_numbers_and_the_knobs_that_differ(commits):
    numbers = compare.numbers("HEAD", None)
    assert list(numbers.columns) == ["HEAD", "workspace", "difference"]
    assert numbers.loc["sft.fidelity"].tolist() == [0.5, 0.75, 0.25]
    assert numbers.loc["sft.leakage", "difference"] == 0
    knobs = compare.knobs("HEAD", None)
    assert knobs.to_dict("index") == {"train.steps": {"HEAD": 40, "workspace": 20}}
    assert compare.knobs("HEAD", "HEAD").empty


def test_a_knob_that_is_null_at_both_does_not_differ(commits):
    for steps in (40, 20):
        Path("params.yaml").write_text(f"execute: {{jobs: null, steps: {steps}}}\n")
        subprocess.run([*GIT, "commit", "-qam", "null"], check=True)
    assert list(compare.knobs("HEAD~1", "HEAD").index) == ["execute.steps"]


def test_how_much_moved_and_what_moved_farthest(commits):
    subprocess.run([*GIT, "commit", "-qam", "second"], check=True)
    assert compare.moved("HEAD~1", "HEAD") == (
        "**1 of the 2 numbers** that both commits have moved; farthest, over what it was: *sft.fidelity*, from 0.5 to 0.75. "
        "Knobs that differ: 1."
    )
    Path("reports/summary.json").write_text("{}")
    subprocess.run([*GIT, "commit", "-qam", "third"], check=True)
    with pytest.raises(UserError, match=r"reports/summary\.json: HEAD~1 and HEAD have no number in common"):
        compare.moved("HEAD~1", "HEAD")


def test_a_picture_of_a_commit(commits):
    Image.new("RGB", (3, 2), "red").save("reports/x.png")
    subprocess.run([*GIT, "add", "-A"], check=True)
    subprocess.run([*GIT, "commit", "-qm", "picture"], check=True)
    Image.new("RGB", (1, 1)).save("reports/x.png")
    assert compare.picture_at("reports/x.png", "HEAD").size == (3, 2)
    assert compare.picture_at("reports/x.png", None).size == (1, 1)
    with pytest.raises(UserError, match=r"reports/x\.png at HEAD~1: cannot be read"):
        compare.picture_at("reports/x.png", "HEAD~1")


def test_a_revision_without_numbers_is_one_clear_error(commits):
    with pytest.raises(UserError, match=r"reports/summary\.json at nowhere: cannot be read .*name a revision"):
        compare.numbers("nowhere", None)
