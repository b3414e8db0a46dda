"""What is sealed, and what is found when it is not as it was."""

import json
import random

import pytest

from dopsd.support import sealed
from dopsd.support.sealed import Damaged, check, facts, owner, seal


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "box" / "deep").mkdir(parents=True)
    (tmp_path / "box" / "a.bin").write_bytes(bytes(range(200)))
    (tmp_path / "box" / "deep" / "b.txt").write_text("text")
    (tmp_path / "box" / "time.json").write_text("1")
    seal(tmp_path / "box", {"training": "x", "of": 3}, apart=("time.json",), device="cpu")
    return tmp_path / "box"


def test_a_seal_says_what_is_there_and_whose_it_is(folder):
    assert owner(folder) == {"training": "x", "of": 3} and facts(folder) == {"device": "cpu"}
    content = check(folder, {"training": "x", "of": 3})
    assert {name: f["bytes"] for name, f in content["files"].items()} == {"a.bin": 200, "deep/b.txt": 4}
    assert content["files"]["a.bin"]["sha256"] == sealed.digest(folder / "a.bin")
    assert set(json.loads((folder / sealed.FILE).read_text())) == {*content, "checksum"}
    check(folder)
    before = (folder / sealed.FILE).read_bytes()
    (folder / "time.json").unlink()
    check(folder)
    seal(folder, {"training": "x", "of": 3}, apart=("time.json",), device="cpu")
    assert (folder / sealed.FILE).read_bytes() == before


def test_a_folder_without_a_seal_has_no_owner_and_does_not_pass(tmp_path):
    assert sealed.sealed(tmp_path) is None and owner(tmp_path) is None and owner(tmp_path / "nowhere") is None
    for ask in (check, facts):
        with pytest.raises(Damaged, match=r"sealed\.json: missing, so nothing says what is in the folder; delete "):
            ask(tmp_path)


def test_every_difference_is_named(folder):
    def said(owner=None) -> str:
        with pytest.raises(Damaged) as raised:
            check(folder, owner)
        return str(raised.value).removeprefix(f"{folder}")

    assert said({"training": "y"}) == ": of another owner (of 3, training x, not training y)"
    (folder / "more").touch()
    assert said() == "/more: was not there when the folder was sealed"
    (folder / "more").unlink()
    (folder / ".DS_Store").touch()
    check(folder)
    (folder / "deep" / "b.txt").write_text("texts")
    assert said() == "/deep/b.txt: damaged (5 bytes, not the 4 that were written)"
    (folder / "deep" / "b.txt").write_text("tex_")
    assert said() == "/deep/b.txt: damaged (its bytes are not those that were written)"
    (folder / "deep" / "b.txt").unlink()
    assert said() == "/deep/b.txt: missing, though the folder was sealed with it"


def test_some_files_of_a_folder_can_be_sealed_alone(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    seal(tmp_path, "me", only=[tmp_path / "a"])
    (tmp_path / "b").write_text("changed")
    check(tmp_path, "me")
    (tmp_path / "a").write_text("c")
    with pytest.raises(Damaged, match="a: damaged"):
        check(tmp_path, "me")


def test_every_bit_of_every_file_is_held_the_seals_too(folder):
    chance = random.Random(0)
    for name in ("a.bin", "deep/b.txt", sealed.FILE):
        good = (folder / name).read_bytes()
        bits = range(8 * len(good)) if name == sealed.FILE else chance.choices(range(8 * len(good)), k=50)
        for bit in bits:
            torn = bytearray(good)
            torn[bit // 8] ^= 1 << bit % 8
            (folder / name).write_bytes(torn)
            with pytest.raises(Damaged):
                check(folder)
        (folder / name).write_bytes(good)
    check(folder)
    for torn in (b"", b"[]", b"{}", good[:-1], good + b"\n"):
        (folder / sealed.FILE).write_bytes(torn)
        with pytest.raises(Damaged, match=r"sealed\.json: damaged"):
            owner(folder)
