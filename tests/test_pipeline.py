"""dvc.yaml against the code."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def stage_of(name: str) -> dict:
    return STAGES[name].get("do", STAGES[name])


def command_module(name: str) -> str | None:
    command = stage_of(name)["cmd"]
    words = (command if isinstance(command, str) else command[0]).split()
    return words[words.index("-m") + 1] if "-m" in words else None


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_says_what_it_is_for(name):
    assert len(stage_of(name)["desc"]) > 20
