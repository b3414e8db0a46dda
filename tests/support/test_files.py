import errno
import json
import os
import re
import resource
import signal

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from dopsd.support import files
from dopsd.support.errors import UserError
from dopsd.training import state


def test_numbers_are_rounded_without_negative_zero(tmp_path):
    files.write_csv(pd.DataFrame({"a": ["x"], "b": [-0.0000001]}), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "a,b\nx,0.0\n"
    files.write_json({"a": {"value": 0.12345678, "n": 3}, "b": -1e-9, "lr": 3e-5}, tmp_path / "folder" / "t.json")
    text = (tmp_path / "folder" / "t.json").read_text()
    assert json.loads(text) == {"a": {"value": 0.12346, "n": 3}, "b": 0.0, "lr": 3e-5} and "-0.0" not in text


def test_a_missing_or_broken_file_is_one_clear_error(tmp_path):
    with pytest.raises(UserError, match=r"t\.json: missing; run `dvc repro`"):
        files.read_json(tmp_path / "t.json")
    (tmp_path / "t.json").write_text("{")
    with pytest.raises(UserError, match=r"t\.json: not JSON .* delete it"):
        files.read_json(tmp_path / "t.json")


def tree(folder) -> dict[str, str]:
    return {f.relative_to(folder).as_posix(): f.read_text() for f in sorted(folder.rglob("*")) if f.is_file()}


def test_a_file_and_a_folder_appear_whole_and_on_the_disk(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(files.os, "fsync", lambda n: synced.append(os.readlink(f"/proc/self/fd/{n}")) or fsync(n))
    with files.whole(tmp_path / "deep" / "a.png") as part:
        assert part.suffix == ".png" and part.parent == tmp_path / "deep"
        part.write_text("new")
        assert not (tmp_path / "deep" / "a.png").exists()
    assert synced == [str(part), str(tmp_path / "deep")]
    with files.whole(tmp_path / "b") as part:
        (part / "in").mkdir(parents=True)
        (part / "in" / "c").write_text("1")
    assert {str(part / "in" / "c"), str(part / "in"), str(part), str(tmp_path)} <= set(synced)
    assert tree(tmp_path) == {"deep/a.png": "new", "b/in/c": "1"}


@pytest.mark.parametrize(
    "error", [KeyError("x"), KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")]
)
def test_what_fails_leaves_what_was_there_and_nothing_beside_it(tmp_path, error):
    files.write_text("old", tmp_path / "a")
    with pytest.raises((type(error), UserError)), files.whole(tmp_path / "a") as part:
        part.write_text("ne")
        raise error
    assert tree(tmp_path) == {"a": "old"} and len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_is_one_line_whoever_writes(tmp_path):
    def said(error) -> str:
        with pytest.raises(UserError) as raised, files.whole(tmp_path / "a"):
            raise error
        return str(raised.value)

    full = f"{tmp_path / 'a'}: cannot be written (No space left on device); make room or mend the rights, and run again"
    assert said(OSError(errno.ENOSPC, "No space left on device")).startswith(full)
    rust = "Error while serializing: I/O error: No space left on device (os error 28)"
    assert said(SafetensorError(rust)).startswith(full)
    assert "quota" in said(RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 576 vs 534"))
    assert "\n" not in said(PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "a")))
    for other in (
        FileNotFoundError(errno.ENOENT, "No such file", "/elsewhere"),
        RuntimeError("[enforce fail at inline_container.cc:671] a fault"),
        UserError("x"),
    ):
        with pytest.raises(type(other), match=re.escape(str(other.args[-1]))), files.whole(tmp_path / "a"):
            raise other


@pytest.mark.parametrize("write", ["json", "csv", "table", "text", "state", "tensors"])
def test_writers_on_a_disk_that_is_full_keep_the_old_file(tmp_path, write):
    """A limit on the size of files in a process of its own, as the disk answers."""
    big = pd.DataFrame({"x": np.random.default_rng(0).random(20_000)})

    def written(file, n):
        part = big.head(n)
        if write == "tensors":
            with files.whole(file) as at:
                save_file({"x": torch.tensor(part.x.to_numpy())}, at)
        elif write == "state":
            state.save(file, {"x": torch.tensor(part.x.to_numpy())})
        else:
            how = {"json": (files.write_json, {"x": list(part.x)}), "text": (files.write_text, part.to_csv())}
            how |= {"csv": (files.write_csv, part), "table": (files.write_table, part)}
            how[write][0](how[write][1], file)

    written(tmp_path / "a", 10)
    before = (tmp_path / "a").read_bytes()
    if (child := os.fork()) == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
        try:
            written(tmp_path / "a", 20_000)
        except UserError as error:
            os._exit(7 if "cannot be written" in str(error) and "\n" not in str(error) else 8)
        os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert (tmp_path / "a").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def made(path, **inside):
    path.mkdir(parents=True)
    for name, text in inside.items():
        (path / name).write_text(text)
    return path


def test_replacing_replaces_and_never_nests(tmp_path):
    new, target = made(tmp_path / "new", a="2"), made(tmp_path / "out" / "target", a="1", b="1")
    files.replace(new, target)
    assert tree(tmp_path) == {"out/target/a": "2"}
    (tmp_path / "file").write_text("3")
    files.replace(tmp_path / "file", target)
    assert tree(tmp_path) == {"out/target": "3"}
    files.replace(made(tmp_path / "new", a="4"), target)
    elsewhere = made(tmp_path / "elsewhere", kept="5")
    (tmp_path / "link").symlink_to(elsewhere)
    files.replace(target, tmp_path / "link")
    assert not (tmp_path / "link").is_symlink()
    assert tree(tmp_path) == {"link/a": "4", "elsewhere/kept": "5"} and not list((tmp_path / "out").iterdir())


def test_what_cannot_be_replaced_is_there_still(tmp_path, monkeypatch):
    new, target = made(tmp_path / "new", a="2"), made(tmp_path / "target", a="1")
    rename = os.replace

    def broken(source, to):
        if source == new:
            raise OSError(errno.EIO, "Input/output error")
        return rename(source, to)

    monkeypatch.setattr(files.os, "replace", broken)
    with pytest.raises(OSError, match="Input/output"):
        files.replace(new, target)
    assert tree(tmp_path) == {"new/a": "2", "target/a": "1"}


def test_another_disk_is_copied_to(tmp_path, monkeypatch):
    new, target = made(tmp_path / "new", a="2"), made(tmp_path / "target", a="1")
    rename = os.replace

    def apart(source, to):
        if source == new and to == target:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(source, to)

    monkeypatch.setattr(files.os, "replace", apart)
    files.replace(new, target)
    assert tree(tmp_path) == {"target/a": "2"} and len(list(tmp_path.iterdir())) == 1


def test_removing_takes_what_is_there_and_follows_no_link(tmp_path):
    elsewhere = made(tmp_path / "elsewhere", kept="5")
    (tmp_path / "link").symlink_to(elsewhere)
    for path in (tmp_path / "link", made(tmp_path / "folder", a="1"), tmp_path / "nothing"):
        files.remove(path)
    assert tree(tmp_path) == {"elsewhere/kept": "5"}
    made(elsewhere / ".tmp-x", a="1")
    (elsewhere / ".old-y").write_text("")
    files.tidy(tmp_path)
    assert tree(tmp_path) == {"elsewhere/kept": "5"} and len(list(elsewhere.iterdir())) == 1
