import os

import pytest
import torch

from dopsd.support import files
from dopsd.support.errors import UserError
from dopsd.training import state


def test_a_fingerprint_is_of_everything_and_of_nothing_else():
    one = state.fingerprint({"a": 1, "b": [2, 3]}, "c")
    assert one == state.fingerprint({"b": [2, 3], "a": 1}, "c") == "5bdf016fe85dbbad"
    others = [state.fingerprint({"a": 1, "b": [3, 2]}, "c"), state.fingerprint({"a": 1, "b": [2, 3]})]
    others.append(state.fingerprint("c", {"a": 1, "b": [2, 3]}))
    assert len({one, *others}) == 4
    assert state.fingerprint(torch.float32) == state.fingerprint("torch.float32")  # what JSON has no word for is text


def test_a_state_comes_back_and_leaves_nothing_beside_it(tmp_path):
    file = tmp_path / "deep" / "er" / "state.pt"
    assert state.load(file) is None
    for step in (1, 2):
        state.save(file, {"step": step, "weights": {"w": torch.tensor([0.5, step])}})
    back = state.load(file)
    assert back["step"] == 2 and back["weights"]["w"].tolist() == [0.5, 2.0] and back["format"] == 1
    assert [f.name for f in file.parent.iterdir()] == ["state.pt"]
    state.save(file, {"step": 3})
    assert state.load(file)["step"] == 3


def test_all_of_a_state_is_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    sizes = []
    monkeypatch.setattr(files.os, "fsync", lambda number: sizes.append(os.fstat(number).st_size))
    state.save(tmp_path / "state.pt", {"step": 1})
    assert sizes[0] == (tmp_path / "state.pt").stat().st_size and len(sizes) == 2  # the file, then its folder


def test_a_state_that_is_killed_while_written_leaves_the_old_one(tmp_path, monkeypatch):
    file = tmp_path / "state.pt"
    state.save(file, {"step": 1})
    monkeypatch.setattr(files.os, "fsync", lambda number: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        state.save(file, {"step": 2})
    assert state.load(file)["step"] == 1


def test_states_are_found_by_their_step_the_last_first_and_what_is_none_is_passed_over(tmp_path):
    for step in (4, 1_234_567, 30):
        state.place(tmp_path, step).mkdir()
    for other in ("state-", "state-x1", "state-4.old", "step-0001"):
        (tmp_path / other).mkdir()
    assert list(state.kept(tmp_path).items()) == [(k, state.place(tmp_path, k)) for k in (1_234_567, 30, 4)]


def test_a_new_state_takes_the_place_of_the_oldest_and_of_those_that_were_later(tmp_path):
    for step in (1, 2, 7, 9):
        state.place(tmp_path, step).mkdir()
    state.keep(tmp_path, {"step": 3}, "me", 2)
    assert list(state.kept(tmp_path)) == [3, 2]


class Planted:
    """What a pickle can do that is not data."""

    def __reduce__(self):
        return print, ("planted",)


@pytest.mark.parametrize("kind", ["format", "code", "empty"])
def test_what_is_no_state_of_ours_is_one_clear_error(tmp_path, kind, capsys):
    file = tmp_path / "state.pt"
    if kind == "format":
        torch.save({"format": 2}, file)
    elif kind == "code":
        torch.save({"format": 1, "planted": Planted()}, file)
    else:
        file.touch()
    said = r"format 2, not 1" if kind == "format" else ".+"
    with pytest.raises(
        UserError, match=rf"state\.pt: not a state of a training \({said}\); delete it to train from the start$"
    ) as raised:
        state.load(file)
    assert "\n" not in str(raised.value) and "planted\n" not in capsys.readouterr().out


def test_an_error_without_words_is_named(tmp_path, monkeypatch):
    (tmp_path / "state.pt").touch()

    def broken(*_, **__):
        raise ArithmeticError

    monkeypatch.setattr(torch, "load", broken)
    with pytest.raises(UserError, match=r"\(ArithmeticError\); delete it"):
        state.load(tmp_path / "state.pt")
