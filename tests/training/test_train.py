"""`train` and what it leaves behind, on a field of two weights and encoders of one line."""

import gc
import json
import weakref
from types import SimpleNamespace

import pytest
import tiny
import torch
from safetensors.torch import save_file
from small import WRITTEN, Model, picture

from dopsd.support import alone, sealed
from dopsd.support.files import replace
from dopsd.training import loop, state
from dopsd.training.encoded import content
from dopsd.training.identity import Identity
from dopsd.training.loop import Preview, Training, train
from dopsd.training.results import LOG_FILE, save_weights


@pytest.fixture
def item(tmp_path):
    return picture(tmp_path)


@pytest.fixture
def options(train_settings):
    return train_settings.model_copy(update={"tune": "full"})


@pytest.fixture
def trained(item, options, tmp_path):
    def run(model=None, items=None, method=None, settings=None, **changes):
        how = {"seed": 3, "learning_rate": 0.01, "work": tmp_path / "work", "name": "test"} | changes
        return train(
            model or Model(dtype="x"), items or [item], method or tiny.method("dopsd"), settings or options, **how
        )

    return run


def ends(folder, step=4) -> bytes:
    return (folder / f"step-{step:04d}" / "transformer" / "model.safetensors").read_bytes()


def test_a_training_lies_under_the_fingerprint_of_all_that_it_depends_on(trained, item, options, tmp_path):
    method = tiny.method("dopsd")
    parts = ("dopsd", method.settings.model_dump(), [content(item)], options.result(), 3, 0.01)
    done = trained()
    assert done == tmp_path / "work" / state.fingerprint(*parts, {"quantize": "none", "dtype": "x"})
    assert sorted(f.name for f in done.iterdir()) == WRITTEN
    others = [
        trained(method=tiny.method("sft")),
        trained(method=tiny.method("dopsd", ema=0.5)),
        trained(settings=options.model_copy(update={"lora_rank": 5})),
        trained(items=[item, item]),
        trained(seed=4),
        trained(learning_rate=0.02),
        trained(Model(dtype="y")),
    ]
    assert len({done, *others}) == 8
    assert ends(trained(seed=4)) != ends(done) != ends(trained(learning_rate=0.02))
    assert trained(settings=options.model_copy(update={"save_every": 9.0})) == done


def test_a_finished_training_is_neither_encoded_nor_trained_again(trained):
    done = trained()
    model = Model(dtype="x")
    assert trained(model) == done and model.asked == []
    (done / LOG_FILE).unlink()
    assert trained(model) == done and model.asked == ["text", "seen"]


def test_a_checkpoint_that_is_anothers_is_not_a_finished_trainings(trained, capsys):
    done, model = trained(), Model(dtype="x")
    sealed.seal(done / "step-0004", {"training": "another"})
    assert trained(model) == done and model.asked == ["text", "seen"]
    assert "of another owner (training another, not training " in capsys.readouterr().err


def test_of_a_finished_training_a_state_stays_as_long_as_it_is_asked_for(trained):
    done = trained(keep_state=True)
    for keep_state, left in ((True, [4]), (False, [])):
        assert trained(keep_state=keep_state) == done and list(state.kept(done)) == left


def test_what_a_killed_writer_left_is_removed_and_who_writes_is_said(trained, tmp_path):
    done = trained()
    (done / LOG_FILE).unlink()
    (done / ".tmp-step-0003").mkdir()
    assert trained(name="corgi") == done and not (done / ".tmp-step-0003").exists()
    assert (tmp_path / "work" / alone.FILE).read_text().endswith(" a training of corgi\n")


def test_what_is_shown_in_the_pictures_place_is_seen_and_makes_another_training(trained, item, options, tmp_path):
    (tmp_path / "other").mkdir()
    seen, other = [], picture(tmp_path / "other", colour="blue")
    model = Model(dtype="x")
    context = model.context
    model.context = lambda prompts, images=None, references=None: seen.extend(images or []) or context(prompts, images)
    done = trained(model, shown=[other])
    assert [image.getpixel((0, 0)) for image in seen] == [(0, 0, 255)]
    identity = Identity.of(model, [item], tiny.method("dopsd"), options, 3, 0.01, [other])
    assert done.name == identity.name != trained().name


def test_processes_of_a_launcher_follow_it_and_one_alone_follows_nobody(trained, monkeypatch, tmp_path):
    followed = []
    monkeypatch.setattr(loop, "follow", lambda **how: followed.append(how))
    trained()
    assert not followed
    monkeypatch.setattr(loop, "Accelerator", lambda cpu: SimpleNamespace(num_processes=2))
    monkeypatch.setattr(loop, "alone", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        trained()
    assert followed == [{"what": "the launcher"}]


def test_only_a_method_that_has_a_seeing_teacher_opens_its_eye(trained):
    model = Model(dtype="x")
    trained(model, method=tiny.method("sft"))
    assert model.asked == ["text"]


def test_features_are_kept_where_it_is_said(trained, tmp_path):
    trained(cache=tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1
    model = Model(dtype="x")
    trained(model, seed=9, cache=tmp_path / "cache")
    assert model.asked == []


def test_previews_are_drawn_and_the_bar_has_the_name(trained, monkeypatch):
    bars, steps = [], []
    bar = loop.progress
    monkeypatch.setattr(loop, "progress", lambda **how: bars.append(how) or bar(**how))
    trained(preview=Preview(2, steps.append), name="corgi")
    assert steps == [0, 2, 4]
    assert bars == [{"total": 4, "initial": 0, "desc": "corgi", "shown": True}]


def test_a_killed_training_goes_on_from_its_state(trained, options, monkeypatch, tmp_path):
    often = options.model_copy(update={"save_every": 1e-9})
    whole = trained(settings=often, work=tmp_path / "whole")
    advance, begun = Training.advance, []

    def dies(self, parts):
        begun.append(self.step)
        if begun == [0, 1, 2, 3]:
            raise KeyError
        return advance(self, parts)

    monkeypatch.setattr(Training, "advance", dies)
    with pytest.raises(KeyError):
        trained(settings=often)
    killed = trained(settings=often)
    assert begun == [0, 1, 2, 3, 3] and not list(killed.glob("*.pt"))
    assert ends(killed) == ends(whole) and (killed / LOG_FILE).read_bytes() == (whole / LOG_FILE).read_bytes()


def test_a_finished_training_lets_go_of_its_memory(trained, monkeypatch):
    made = []
    init = Training.__init__

    def noted(self, *arguments):
        init(self, *arguments)
        assert arguments[3:] == (3, 0.01)  # its own seed and learning rate
        made.append(weakref.ref(self.weights))

    monkeypatch.setattr(Training, "__init__", noted)
    gc.disable()
    try:
        trained(method=tiny.method("sft"))
        assert len(made) == 1 and made[0]() is None
    finally:
        gc.enable()


def test_publishing_moves_a_folder_in_place_of_an_older_one(tmp_path):
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "new").touch()
    number = (tmp_path / "done" / "new").stat().st_ino
    replace(tmp_path / "done", tmp_path / "deep" / "er" / "out")
    assert [f.name for f in (tmp_path / "deep" / "er" / "out").iterdir()] == ["new"]
    assert (tmp_path / "deep" / "er" / "out" / "new").stat().st_ino == number  # renamed, not copied
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "newer").touch()
    replace(tmp_path / "done", tmp_path / "deep" / "er" / "out")
    assert [f.name for f in (tmp_path / "deep" / "er" / "out").iterdir()] == ["newer"]
    assert not (tmp_path / "done").exists()


def test_saved_weights_have_headers_in_order(tmp_path):
    class Written:
        def save(self, folder):
            (folder / "deep").mkdir()
            save_file(
                {"z": torch.ones(2), "a": torch.zeros(3)}, folder / "deep" / "w.safetensors", {"y": "1", "b": "2"}
            )

    save_weights(Written(), tmp_path / "not" / "there" / "step-0001")
    raw = (tmp_path / "not" / "there" / "step-0001" / "deep" / "w.safetensors").read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert list(header) == ["__metadata__", "a", "z"] and list(header["__metadata__"]) == ["b", "y"]


def test_a_cpu_is_used_where_it_is_asked_for_whatever_the_machine_has(trained, monkeypatch):
    asked, accelerator = [], loop.Accelerator
    monkeypatch.setattr(loop, "Accelerator", lambda cpu: asked.append(cpu) or accelerator(cpu=cpu))
    trained()
    assert len(asked) == 2 and all(cpu is True for cpu in asked)
