"""What a training leaves, what counts as finished, and what another one goes on from, on folders of a byte."""

from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from dopsd.support import sealed
from dopsd.support.errors import UserError
from dopsd.training import results, resume, state


def checkpoint(folder, step, owner="me"):
    (place := results.step_folder(folder, step)).mkdir()
    (place / "weights").write_text("w")
    sealed.seal(place, owner)


def test_a_training_is_finished_with_its_log_and_every_checkpoint_as_it_was_written(tmp_path, capsys):
    for step in (2, 4):
        checkpoint(tmp_path, step)
    assert results.finished(tmp_path, (2, 4), "me") is False
    results.write_log([], tmp_path / results.LOG_FILE)
    assert results.finished(tmp_path, (2, 4), "me") and not capsys.readouterr().err
    (results.step_folder(tmp_path, 4) / "weights").write_text("v")
    assert results.finished(tmp_path, (2,), "me")
    for kept, owner, place in (((2, 4), "me", "step-0004/weights"), ((2,), "you", "step-0002")):
        assert results.finished(tmp_path, kept, owner) is False
        said = capsys.readouterr().err
        assert place in said and said.endswith("; the training is not finished any more\n")


def test_the_log_is_the_last_file_of_a_training(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "write_log", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        results.conclude(tmp_path, [], 1.5, 4)
    assert [f.name for f in tmp_path.iterdir()] == [results.TIME_FILE]


@pytest.mark.parametrize(("keep_state", "states"), [(True, ["state-0000004"]), (False, [])])
def test_of_a_finished_training_what_was_asked_for_stays(tmp_path, keep_state, states):
    for step in (1, 2, 4):
        results.step_folder(tmp_path, step).mkdir()
        state.place(tmp_path, step).mkdir()
    results.clear(tmp_path, (2, 4), keep_state)
    assert sorted(f.name for f in tmp_path.iterdir()) == [*states, "step-0002", "step-0004"]


def test_weights_are_sealed_as_their_owners(tmp_path):
    class Written:
        def save(self, folder):
            (folder / "weights").touch()

    for owner, given in ((["a"], (["a"],)), ("weights", ())):
        results.save_weights(Written(), tmp_path / "step", *given)
        assert sealed.owner(tmp_path / "step") == owner


class Numbers:
    """Weights of three numbers, in a folder of the file's, with metadata in any order."""

    def __init__(self, last, words):
        self.last, self.words = last, words

    def save(self, folder):
        (folder / "transformer").mkdir()
        weights = {"a": torch.ones(2), "b": torch.tensor([self.last])}
        save_file(weights, folder / "transformer" / "some.safetensors", dict.fromkeys(self.words, "said"))


def test_equal_weights_are_equal_bytes(tmp_path):
    for name, words in (("one", "abcdefgh"), ("two", "hgfedcba")):
        results.save_weights(Numbers(1.0, words), tmp_path / name)
    one, two = ({f.name: f.read_bytes() for f in (tmp_path / n).rglob("*") if f.is_file()} for n in ("one", "two"))
    assert one == two and sorted(one) == ["sealed.json", "some.safetensors"]
    assert one["some.safetensors"].index(b'"a":"said"') < one["some.safetensors"].index(b'"h":"said"')


def test_weights_that_are_no_numbers_are_not_written(tmp_path):
    with pytest.raises(UserError) as raised:
        results.save_weights(Numbers(float("nan"), "a"), tmp_path / "step-0004")
    assert str(raised.value) == (
        "step-0004: 1 of 2 tensors are not finite (the first: b); nothing is written of them: lower the learning rate"
    )
    assert not list(tmp_path.iterdir())


@pytest.fixture
def places(tmp_path):
    """A training's folder, and that of an earlier one, with checkpoints and states at 2 and 3."""
    folder, earlier = tmp_path / "now", tmp_path / "earlier"
    folder.mkdir()
    earlier.mkdir()
    for step in (2, 3):
        checkpoint(earlier, step)
        state.keep(earlier, {"step": step}, "me", 9)
    return folder, earlier


STEPS = SimpleNamespace(steps=4, kept=(2, 3, 4))


@pytest.mark.parametrize("main", [True, False])
def test_an_earlier_trainings_state_brings_its_checkpoints_over_once(places, main, capsys):
    folder, earlier = places
    assert resume.newest(folder, earlier, "me", STEPS, main)["step"] == 3
    assert sorted(f.name for f in folder.iterdir()) == (["step-0002", "step-0003"] if main else [])
    for place in folder.iterdir():
        sealed.check(place, "me")
    assert not capsys.readouterr().err and len(list(earlier.iterdir())) == 4


def test_of_two_trainings_its_own_state_is_gone_on_from_though_the_other_is_further(places):
    folder, earlier = places
    state.keep(folder, {"step": 1}, "me", 9)
    assert resume.newest(folder, earlier, "me", STEPS, True)["step"] == 1
    assert [f.name for f in folder.iterdir()] == ["state-0000001"]


@pytest.mark.parametrize("main", [True, False])
def test_where_every_state_is_skipped_one_process_says_which_and_that_it_begins_anew(places, main, capsys):
    folder, earlier = places
    (results.step_folder(earlier, 2) / "weights").write_text("v")
    assert resume.newest(folder, earlier, "me", STEPS, main) is None
    said = capsys.readouterr().err.splitlines()
    assert len(said) == (3 if main else 0) and all("step-0002/weights: damaged" in line for line in said[:2])
    assert said[2:] == [f"{folder}: no state can be gone on from; the training begins at step 0"][: len(said)]


@pytest.mark.parametrize("whose", ["state", "checkpoint"])
def test_what_is_anothers_is_not_gone_on_from(tmp_path, whose, capsys):
    checkpoint(tmp_path, 2, "you" if whose == "checkpoint" else "me")
    state.keep(tmp_path, {"step": 2}, "you" if whose == "state" else "me", 9)
    assert resume.newest(tmp_path, None, "me", STEPS, True) is None
    assert "of another owner (you, not me)" in capsys.readouterr().err


def test_where_there_is_no_state_nothing_is_said(tmp_path, capsys):
    assert resume.newest(tmp_path, None, "me", STEPS, True) is None and not capsys.readouterr().err


def test_a_state_beyond_the_last_step_is_not_gone_on_from(places, capsys):
    folder, earlier = places
    fewer = SimpleNamespace(steps=2, kept=(2,))
    assert resume.newest(folder, earlier, "me", fewer, True)["step"] == 2
    assert capsys.readouterr().err == (
        f"{state.place(earlier, 3)}: later than the training's last step, 2; this state is skipped\n"
    )
    assert [f.name for f in folder.iterdir()] == ["step-0002"]
