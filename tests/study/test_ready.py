"""What would stop a study of pictures is said before its first training."""

import shutil
from collections import namedtuple
from pathlib import Path

import pictured
import pytest
import yaml

from dopsd.config.params import load
from dopsd.stages import fetch, prompts, step_size, train
from dopsd.study import costs, ready
from dopsd.study.pipeline import Study
from dopsd.support.errors import UserError

Disk = namedtuple("Disk", "total used free")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """params.yaml of a tiny study whose sets and prompts are written, in the folder that is worked in."""
    (tmp_path / "study").mkdir()
    monkeypatch.chdir(tmp_path / "study")
    said = pictured.params("zimage", tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(said))
    fetch.main()
    prompts.main()
    return said


def refused(tree: dict, **changes: dict) -> str:
    """What a study with other settings is refused with, before it trains."""
    Path("params.yaml").write_text(yaml.safe_dump(tree | {k: tree[k] | v for k, v in changes.items()}))
    with pytest.raises(UserError) as error:
        ready.check(Study(load()))
    return str(error.value)


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def test_a_whole_study_is_ready(tree):
    ready.check(Study(load()))


def test_models_that_cannot_be_had_or_are_damaged(tree, tmp_path):
    assert "no such folder" in refused(tree, backbone={"base": str(tmp_path / "none")})
    broken = shutil.copytree(tree["backbone"]["model"], tmp_path / "broken")
    cut_off(next((broken / "transformer").glob("*.safetensors")))
    assert "broken/transformer" in refused(tree, backbone={"base": str(broken)})
    assert "fetch it again" in refused(tree, backbone={"model": str(broken)})
    eye = shutil.copytree(tree["backbone"]["vlm"], tmp_path / "eye")
    cut_off(next(eye.glob("*.safetensors")))
    assert f"{eye}/model.safetensors: not a file of weights" in refused(tree, backbone={"vlm": str(eye)})


def test_an_instrument_that_cannot_be_had_or_says_nothing(tree, tmp_path):
    (tmp_path / "empty").mkdir()
    said = refused(tree, instruments={"lpips": {"model": str(tmp_path / "empty")}})
    assert "the lpips's model has no model.safetensors" in said
    said = refused(tree, instruments={"reader": {"model": str(tmp_path / "empty")}})
    assert "instruments.reader: it needs" in said


def test_a_disk_that_is_too_small(tree, monkeypatch):
    needed = sum((costs.disk(Study(load())) or {}).values())
    assert needed > 0
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(1, 1, int(needed * costs.GIB / 2)))
    assert "GiB are free, and the study's cells will take about" in refused(tree)


def test_stages_that_train_ask_first(tree, monkeypatch):
    def stop(study):
        raise UserError("not ready")

    monkeypatch.setattr(ready, "check", stop)
    for stage in (step_size, train):
        with pytest.raises(UserError, match="not ready"):
            stage.main()
