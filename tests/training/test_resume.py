"""Trainings that end in the middle: at every write, on full disks, with states that are damaged or another's, and go on.

On a field of two weights, whose trainings take moments.
"""

import errno
import json
import os
import random
import resource
import shutil
import signal
from pathlib import Path

import pytest
import tiny
import torch
from small import Model, in_a_child, picture, result

from dopsd.sets.items import Item
from dopsd.support import files, sealed
from dopsd.support.errors import UserError
from dopsd.training import identity, loop, results, state
from dopsd.training.identity import Identity
from dopsd.training.loop import Preview, Training, train


@pytest.fixture
def item(tmp_path):
    return picture(tmp_path)


@pytest.fixture
def options(train_settings):
    """Six steps, checkpoints at 2 and 6, a state after each step."""
    return train_settings.model_copy(update={"tune": "full", "steps": 6, "save_every": 1e-9})


@pytest.fixture
def trained(item, options, tmp_path):
    def run(work="work", steps=6, model=None, **changes):
        how = {"seed": 3, "learning_rate": 0.01, "name": "test"} | changes
        settings = how.pop("settings", options).model_copy(update={"steps": steps})
        return train(model or Model(dtype="x"), [item], tiny.method("dopsd"), settings, work=tmp_path / work, **how)

    return run


def test_between_the_last_step_and_the_end_something_can_be_gone_on_from(trained, monkeypatch):
    """The last step's checkpoint is there and the log fails: the training is not begun anew."""
    with monkeypatch.context() as patch:
        patch.setattr(results, "write_log", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            trained()
    begun, advance = [], Training.advance
    monkeypatch.setattr(Training, "advance", lambda self, parts: begun.append(self.step) or advance(self, parts))
    assert result(trained()) == result(trained("whole")) and begun[0] == 5


@pytest.fixture
def stopped(trained, monkeypatch, tmp_path):
    """A training that was killed at the fifth step: its folder, with states after steps 3 and 4."""
    advance = Training.advance

    def dies(self, parts):
        if self.step == 4:
            raise KeyError
        return advance(self, parts)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "advance", dies)
        with pytest.raises(KeyError):
            trained()
    (folder,) = (f for f in (tmp_path / "work").iterdir() if f.is_dir())
    assert list(state.kept(folder)) == [4, 3]
    return folder


def from_where(monkeypatch) -> list[int]:
    """The step that a training goes on from, once it has begun."""
    seen, run = [], loop.run
    monkeypatch.setattr(loop, "run", lambda training, *more: seen.append(training.step) or run(training, *more))
    return seen


def flip(file: Path, chance: random.Random) -> bytes:
    good = file.read_bytes()
    bit, torn = chance.randrange(8 * len(good)), bytearray(good)
    torn[bit // 8] ^= 1 << bit % 8
    file.write_bytes(torn)
    return good


def test_a_damaged_state_is_said_and_the_one_before_it_taken(stopped, trained, monkeypatch, capsys):
    seen = from_where(monkeypatch)
    flip(state.place(stopped, 4) / state.FILE, random.Random(0))
    done = trained()
    assert "state-0000004/state.pt: damaged (" in (said := capsys.readouterr().err) and "is skipped" in said
    assert seen == [3] and result(done) == result(trained("whole"))


def test_where_no_state_is_good_the_training_begins_at_0_and_says_so(stopped, trained, monkeypatch, capsys):
    seen = from_where(monkeypatch)
    for step in (3, 4):
        (state.place(stopped, step) / sealed.FILE).unlink()
    done = trained()
    said = capsys.readouterr().err
    assert (
        said.count("sealed.json: missing") == 2
        and f"{stopped}: no state can be gone on from; the training begins" in said
    )
    assert seen == [0] and result(done) == result(trained("whole"))


def test_another_trainings_state_is_refused_by_name(stopped, trained, monkeypatch, capsys, tmp_path):
    seen = from_where(monkeypatch)
    other = state.place(tmp_path, 5)
    other.mkdir()
    state.save(other / state.FILE, {"step": 5})
    sealed.seal(other, {"training": "another"})
    files.replace(other, state.place(stopped, 5))
    done = trained()
    assert "state-0000005: of another owner (training another, not training " in capsys.readouterr().err
    assert seen == [4] and result(done) == result(trained("whole"))


def test_a_state_after_a_damaged_checkpoint_is_not_gone_on_from(stopped, trained, monkeypatch, capsys):
    seen = from_where(monkeypatch)
    flip(stopped / "step-0002" / "transformer" / "model.safetensors", random.Random(0))
    done = trained()
    assert seen == [0] and "step-0002/transformer/model.safetensors: damaged" in capsys.readouterr().err
    assert result(done) == result(trained("whole"))


def test_a_finished_training_whose_checkpoint_is_damaged_is_not_taken(trained, capsys):
    done = trained()
    whole = result(done)
    flip(done / "step-0006" / "transformer" / "model.safetensors", random.Random(0))
    assert result(trained()) == whole and "is not finished any more" in capsys.readouterr().err


def test_of_flipped_bits_in_states_and_features_none_is_unnoticed(stopped, trained, item, tmp_path, capsys):
    """400 flips: every one is said, and what is taken in its place is good."""
    from dopsd.training.encoded import Encoded

    chance, owner = random.Random(1), sealed.owner(stopped / "step-0002")
    said: list[str] = []
    for _ in range(200):
        file = chance.choice([state.place(stopped, 4) / name for name in (state.FILE, sealed.FILE)])
        good = flip(file, chance)
        said.clear()
        left = state.newest(stopped, owner, 6, lambda step: None, said.append)
        assert left is not None and left["step"] == 3 and len(said) == 1 and file.name in said[0]
        file.write_bytes(good)
    model, cache = Model(dtype="x"), tmp_path / "cache"
    Encoded(model, [item], True, cache)
    (folder,) = cache.iterdir()
    before = result(folder)
    for _ in range(200):
        file = chance.choice([f for f in folder.iterdir() if f.is_file()])
        flip(file, chance)
        capsys.readouterr()
        model.asked.clear()
        Encoded(model, [item], True, cache)
        assert model.asked == ["text", "seen"] and "a.png is encoded anew" in capsys.readouterr().err
        assert result(folder) == before


def test_features_of_another_picture_are_not_taken(item, tmp_path, capsys):
    from dopsd.training.encoded import Encoded

    other = picture(tmp_path, "b.png", "blue")
    for cache, each in (("one", item), ("two", other)):
        Encoded(Model(dtype="x"), [each], True, tmp_path / cache)
    (mine,), (theirs,) = ((tmp_path / cache).iterdir() for cache in ("one", "two"))
    files.replace(theirs, mine)
    data = Encoded(Model(dtype="x"), [item], True, tmp_path / "one")
    assert data.visits[16, 16][0][0].latents.flatten().tolist() == [1.0, -1.0, -1.0]
    assert "of another owner (captions " in capsys.readouterr().err


def test_a_full_disk_while_a_state_is_saved_is_one_line_and_the_older_ones_stay(trained, monkeypatch, tmp_path):
    """A limit on the size of files, as the disk answers, from the fourth step on."""
    advance = Training.advance

    def full(self, parts):
        if self.step == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        return advance(self, parts)

    def fails():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        monkeypatch.setattr(Training, "advance", full)
        try:
            trained()
        except UserError as error:
            assert "state.pt: cannot be written (" in str(error) and "\n" not in str(error)
            os._exit(7)

    assert in_a_child(fails) == 7
    (folder,) = (f for f in (tmp_path / "work").iterdir() if f.is_dir())
    assert list(state.kept(folder)) == [3, 2] and not list(folder.glob(".*"))
    seen = from_where(monkeypatch)
    assert result(trained()) == result(trained("whole")) and seen[0] == 3


@pytest.mark.parametrize("writer", ["identity", "features", "checkpoint", "log"])
def test_a_full_disk_at_any_other_write_is_one_line_and_the_same_call_goes_on(trained, monkeypatch, tmp_path, writer):
    part = {"identity": identity.FILE, "features": "features", "checkpoint": "step-0006", "log": results.LOG_FILE}[
        writer
    ]
    to_disk = files._to_disk

    def full(path):
        if part in str(path) or (writer == "features" and "cache" in str(path)):
            raise OSError(errno.ENOSPC, "No space left on device")
        to_disk(path)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_to_disk", full)
        with pytest.raises(UserError, match=r"cannot be written \(No space left on device\)") as raised:
            trained(cache=tmp_path / "cache")
    assert "\n" not in str(raised.value)
    assert result(trained(cache=tmp_path / "cache")) == result(trained("whole"))


def test_numbers_that_are_none_are_never_written(trained, options, tmp_path):
    once = options.model_copy(update={"checkpoints": ()})
    with pytest.raises(
        UserError, match=r"^step-0001: 2 of 2 tensors are not finite \(.+\); nothing is written of them"
    ):
        trained(steps=1, learning_rate=float("inf"), settings=once)
    with pytest.raises(UserError, match=r"^2 of 2 weights are not finite after step 1; lower the learning rate$"):
        trained(steps=2, learning_rate=float("inf"), settings=once)
    assert {f.name for f in tmp_path.rglob("*") if f.is_file()} == {"a.png", "identity.json", ".lock"}


def test_a_gradient_that_is_not_a_number_ends_the_training(trained, monkeypatch):
    clip = Training.__init__

    def broken(self, *arguments):
        clip(self, *arguments)
        self.accelerator.clip_grad_norm_ = lambda *_: torch.tensor(float("inf"))

    monkeypatch.setattr(Training, "__init__", broken)
    with pytest.raises(UserError, match=r"^the gradient's norm is not a number at step 0; lower the learning rate$"):
        trained()


# --- more steps


def test_more_steps_go_on_to_the_bit(trained, tmp_path, monkeypatch, options):
    done = trained(steps=3, keep_state=True)
    assert list(state.kept(done)) == [3]
    files.replace(done, tmp_path / "out")
    before = result(tmp_path / "out")
    seen = from_where(monkeypatch)
    more = trained(steps=8, earlier=tmp_path / "out", exclusive=True)
    assert seen == [3] and result(tmp_path / "out") == before
    assert result(more) == result(trained("whole", steps=8)) and not state.kept(more)


def test_an_unfinished_training_goes_on_to_more_steps_or_fewer(stopped, trained, monkeypatch, tmp_path):
    seen = from_where(monkeypatch)
    shutil.copytree(tmp_path / "work", tmp_path / "again")
    assert result(trained(steps=9)) == result(trained("whole", steps=9)) and seen[0] == 4
    assert not stopped.exists()
    with pytest.raises(UserError, match=r"at step 4, beyond the 3 that are asked for: give at least 4 steps, choose"):
        trained("again", steps=3)
    assert result(trained("again", steps=5)) == result(trained("whole", steps=5)) and seen[2] == 4


def test_more_steps_with_a_checkpoint_before_the_state_begin_where_it_can_be_made(
    stopped, trained, monkeypatch, options
):
    seen = from_where(monkeypatch)
    settings = options.model_copy(update={"checkpoints": (1, 4)})
    done = trained(settings=settings, steps=7)
    assert result(done) == result(trained("whole", settings=settings, steps=7)) and seen == [0, 0]
    assert {f.name for f in done.glob("step-*")} == {"step-0001", "step-0004", "step-0007"}


def test_what_changes_no_result_is_no_part_of_the_identity(stopped, trained, monkeypatch, options):
    seen = from_where(monkeypatch)
    settings = options.model_copy(update={"save_every": 30.0, "states": 5, "cuda_graphs": False})
    done = trained(settings=settings, exclusive=True, preview=Preview(3, lambda step: None), name="other")
    assert seen == [4] and done == stopped


def test_another_training_in_the_way_is_said_with_what_differs(stopped, trained, options):
    changed = options.model_copy(update={"batch_size": 8, "save_every": 9.0})
    with pytest.raises(UserError) as raised:
        trained(settings=changed, learning_rate=0.02, exclusive=True)
    assert str(raised.value) == (
        f"{stopped}: a training with other settings (tune.learning_rate 0.01 -> 0.02; train.batch_size 2 -> 8) is there. "
        f"Give its settings to go on with it, choose another --out for a new one, or remove {stopped}"
    )
    trained(settings=changed)  # where `work` is not of one training
    assert list(state.kept(stopped)) == [4, 3]


def of(item, model=None, method="dopsd", settings=None, seed=3, rate=0.01) -> Identity:
    return Identity.of(model or Model(dtype="x"), item, tiny.method(method), settings, seed, rate)


def test_differences_name_the_fields(item, options, tmp_path):
    other = picture(tmp_path, "b.png", "blue")
    said = Item(item.file, (16, 16), {"short_en": "two"}, "corgi")
    one = of([item, other], settings=options)
    assert one.differences(of([item, other], settings=options)) == []
    assert one.differences(of([item], settings=options)) == ["1 pictures gone"]
    assert of([item], settings=options).differences(of([item, item, other], settings=options)) == ["2 pictures more"]
    assert one.differences(of([said, other], settings=options)) == ["captions, sizes or the background of 1 pictures"]
    assert one.differences(of([other, item], settings=options)) == ["the order of the pictures"]
    assert one.differences(of([item, other], Model(dtype="y"), settings=options)) == ['backbone.dtype "x" -> "y"']
    assert one.differences(of([item, other], method="sft", settings=options))[0] == 'tune.method "dopsd" -> "sft"'
    assert one.line() == "dopsd on 2 pictures, 6 steps, learning rate 0.01, seed 3"
    longer = of([item, other], settings=options.model_copy(update={"steps": 9}))
    assert longer.name != one.name and longer.owner() == one.owner() == {"training": one.course}
    one.write(tmp_path)
    assert Identity.read(tmp_path) == one and Identity.read(tmp_path / "none") is None


def test_whether_a_finished_training_can_be_gone_on_from_is_said(item, options, trained, tmp_path):
    done = trained(keep_state=True)
    longer = of([item], settings=options.model_copy(update={"steps": 9}))
    identity.goes_on(done, longer)
    for asked, said in (
        (of([item], settings=options), "finished, with 6 steps; ask for more to go on"),
        (of([item], settings=options, seed=4), r"other settings \(tune\.seed 3 -> 4\)"),
    ):
        with pytest.raises(UserError, match=said):
            identity.goes_on(done, asked)
    with pytest.raises(UserError, match="without a state to go on from"):
        identity.goes_on(trained("other"), longer)
    (done / identity.FILE).unlink()
    with pytest.raises(UserError, match="does not say what it was"):
        identity.goes_on(done, longer)
    (done / identity.FILE).write_text(json.dumps({"name": "x"}))
    with pytest.raises(UserError, match=r"identity\.json: no 'course'"):
        identity.goes_on(done, longer)


def test_pictures_that_are_shown_count_and_a_base_does_not(item, options, tmp_path):
    other = picture(tmp_path, "b.png", "blue")

    def shown(*pictures, model=None):
        return Identity.of(model or Model(dtype="x"), [item], tiny.method("dopsd"), options, 3, 0.01, list(pictures))

    plain = of([item], settings=options)
    assert shown() == plain and len({i.name for i in (plain, shown(item), shown(other), shown(other, item))}) == 4
    based = [of([item], Model(dtype="x", base=b), settings=options) for b in ("one", "two")]
    assert based[0].name == based[1].name == plain.name
