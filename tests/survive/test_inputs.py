"""Bad input of every kind that is known: one line says what is wrong and where, and nothing is written.

A case more is a row more in `arguments`, `settings`, `models`, `prompts` or `weights`.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml
from survive import arguments, prompts, weights
from survive import models as model_cases
from survive import settings as setting_cases
from survive.cases import Case, Model, placed, snapshot, write

from dopsd.commands import main as cli
from dopsd.stages import _run

ROOT = Path(__file__).parents[2]
CASES = [*arguments.CASES, *setting_cases.CASES, *model_cases.CASES, *prompts.CASES, *weights.CASES]


def named(case: Case) -> str:
    return case.mechanism.replace(" ", "-")


def test_there_are_enough_of_them():
    each = Counter(c.mechanism for c in CASES)
    assert len(CASES) >= 200 and len(each) >= 45 and max(each.values()) <= 5
    assert sum(c.process for c in CASES) >= 12


@pytest.fixture(scope="session")
def models(all_settings) -> dict[str, Path]:
    """The session's models by name."""
    return {k: Path(all_settings[k].model) for k in ("zimage", "klein")} | {"vlm": Path(all_settings["zimage"].vlm)}


@pytest.fixture(scope="session")
def presets(all_settings) -> dict[str, str]:
    """A preset's file for each model, with absolute paths."""
    out = {}
    for name, kind, extends in (
        ("mini", "miniature", "mini-turbo"),
        ("zimage", "zimage", "zimage"),
        ("klein", "klein", "klein-4b"),
    ):
        backbone = all_settings[kind].model_dump(mode="json")
        clip = {"mini_clip": {"model": str(ROOT / "models/mini-clip")}} if name == "mini" else {}
        out[f"{name}.yaml"] = yaml.safe_dump({"extends": extends, "backbone": backbone, "instruments": clip})
    return out


@pytest.fixture
def folder(tmp_path, presets):
    """The folder of a case, not yet made: its files by name."""

    def make(case: Case, models: dict[str, Path]) -> Path:
        work = tmp_path / "work"
        for name, text in presets.items():
            write(work / name, text)
        if case.params is not None:
            tree = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
            tree["backbone"] |= {"model": str(ROOT / "models/mini-turbo"), "vlm": str(ROOT / "models/mini-vlm")}
            (work / "params.yaml").write_text(yaml.safe_dump(placed(tree, case.params)), encoding="utf-8")
        for name, content in case.files.items():
            if isinstance(content, Model):
                content.write(work / name, models)
            elif content == "@set":
                world_set(work / name)
            else:
                write(work / name, content)
        return work

    return make


def world_set(folder: Path) -> None:
    from dopsd.world.concepts import write_concept_set

    write_concept_set("beacon", folder, images=1, seed=0)


def run(case: Case, monkeypatch) -> int:
    """Run a case in this process -> its exit status."""
    name, *rest = case.run if case.run[0] != "stage" else case.run[1:]
    monkeypatch.setattr(sys, "argv", [name, *rest] if case.run[0] == "stage" else ["dopsd", *case.run])
    with pytest.raises(SystemExit) as stopped:
        if case.run[0] == "stage":
            _run.run(importlib.import_module(f"dopsd.stages.{name}").main)
        else:
            cli.main()
    return stopped.value.code


def one_line(case: Case, said: str) -> str:
    """The error, which is the last line; UserError's own form."""
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in said and len(lines) == 1, said
    for part in case.says:
        assert part in lines[0], lines[0]
    assert len(lines[0]) < 2000
    return lines[0]


HERE = [c for c in CASES if not c.process]


@pytest.mark.parametrize("case", HERE, ids=named)
def test_one_line_and_nothing_written(case, folder, models, monkeypatch, capsys):
    if case.mechanism == "a GPU that is not here" and torch.cuda.is_available():
        pytest.skip("there is one")
    work = folder(case, models)
    monkeypatch.chdir(work)
    for name, value in case.environment.items():
        monkeypatch.setenv(name, value)
    before = snapshot(work)
    status = run(case, monkeypatch)
    one_line(case, capsys.readouterr().err)
    assert status == case.status
    assert snapshot(work) == before


@pytest.mark.parametrize("case", [c for c in CASES if c.process], ids=named)
def test_the_same_in_a_process_of_its_own(case, folder, models):
    work = folder(case, models)
    before = snapshot(work)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), **case.environment}
    what = ["dopsd", *case.run] if case.run[0] != "stage" else [f"dopsd.stages.{case.run[1]}", *case.run[2:]]
    command = [sys.executable, "-m", *what]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=120, env=environment)
    said = one_line(case, done.stderr)
    assert done.stderr.strip().endswith(said) and not done.stdout and done.returncode == case.status
    assert snapshot(work) == before
