"""What is read of a folder or of a hub: the right kind, all of it, no code, and of which commit."""

from typing import ClassVar

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer

from dopsd.backbones import hub
from dopsd.backbones.pipeline import device
from dopsd.support.errors import UserError


class Recorded:
    """A class of transformers that keeps what it was called with."""

    __module__ = "transformers.models"
    given: ClassVar[dict] = {}

    @classmethod
    def from_pretrained(cls, source, **options):
        cls.given = options
        return cls()


def test_code_of_a_repository_is_refused_without_a_question(tmp_path):
    hub.load_part(Recorded, str(tmp_path), None, "thing")
    assert Recorded.given["trust_remote_code"] is False
    (tmp_path / "config.json").write_text(
        '{"model_type": "mine", "auto_map": {"AutoModel": "mine.M", "AutoConfig": "mine.C"}}'
    )
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    for cls in (AutoModel, AutoTokenizer):
        with pytest.raises(UserError, match="cannot open the thing"):
            hub.load_part(cls, str(tmp_path), None, "thing")
    assert not (tmp_path / "ran").exists()


def test_nobody_is_asked_whether_to_run_code(tmp_path, monkeypatch):
    """Where a library opens something that says nothing of it, as open_clip its tokenizer."""
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    (tmp_path / "config.json").write_text('{"model_type": "mine", "auto_map": {"AutoConfig": "mine.C"}}')
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ValueError, match="trust_remote_code"):
        AutoConfig.from_pretrained(tmp_path)
    assert not (tmp_path / "ran").exists()


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList([torch.nn.Linear(1, 1)])


def report(**keys) -> dict:
    return {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": []} | keys


def test_weights_are_all_there_and_no_more_than_the_model_has():
    hub.complete(Model(), report(), "m", "VLM")
    hub.complete(Model(), report(unexpected_keys=["lm_head.weight"]), "m", "VLM")  # of a part that it has not
    for keys, said in (
        (
            {"missing_keys": ["layers.0.weight", "layers.0.bias"]},
            r"m: the VLM lacks 2 weights \(layers\.0\.bias, layers\.0\.weight\)",
        ),
        ({"unexpected_keys": ["layers.1.weight"]}, r"has more than fits: 1 weights \(layers\.1\.weight\)"),
        ({"unexpected_keys": ["model.layers.1.weight"]}, "has more than fits"),
        (
            {"mismatched_keys": [("layers.0.weight", (1,), (2,))]},
            r"has other shapes of 1 weights \(layers\.0\.weight\)",
        ),
    ):
        with pytest.raises(UserError, match=said):
            hub.complete(Model(), report(**keys), "m", "VLM")


def test_too_little_memory_is_no_fault_of_the_folder(tmp_path, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Recorded, "from_pretrained", full)
    with pytest.raises(torch.OutOfMemoryError):
        hub.load_part(Recorded, str(tmp_path), None, "thing")


def test_a_version_that_is_not_named_is_said_once(capsys):
    hub.say_unpinned.cache_clear()
    commit = "a" * 40
    for _ in range(2):
        hub.say_unpinned("x/y", "main", commit)
    assert capsys.readouterr().err.count(f"x/y: no commit is named, so the newest is read, {commit}") == 1
    hub.say_unpinned("x/z", commit, commit)
    hub.say_unpinned("a/folder", None, None)
    assert not capsys.readouterr().err


def test_a_gpu_that_is_not_here(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device("auto") == device("cuda") == torch.device("cuda", 0) and device("cuda:1").index == 1
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert device("auto").index == 1
    with pytest.raises(UserError, match="cuda:2: GPU 2 is not here, there are 2; choose auto or cpu"):
        device("cuda:2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert device("auto") == torch.device("cpu") == device("cpu")
    with pytest.raises(UserError, match="GPU 1 is not here, there is none"):
        device("cuda")
