"""`dopsd tune` that is ended at any point of its work, called again, called with more steps, called twice, called in vain."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
import tiny
import torch
from filelock import FileLock
from PIL import Image

from dopsd.commands import gallery, measure
from dopsd.commands import tune as job
from dopsd.config.params import load_preset
from dopsd.evaluation import rows as prompts
from dopsd.sets import folder as own
from dopsd.support.alone import Busy
from dopsd.support.errors import UserError
from dopsd.training import encoded, loop, results
from dopsd.training.loop import Training
from dopsd.training.stop import Stopped

SHORT = ["train.steps=2", "train.checkpoints=[1]", "train.lora_rank=2", "train.lora_alpha=4", "train.batch_size=2"]
SHORT += ["train.accumulation=1", "tune.size=32", "tune.nfe=1", "tune.learning_rate=0.05"]
SHORT += ['tune.previews.prompts=["[V] in the snow"]', "methods.dopsd.rollout_steps=1", "tune.previews.every=1"]
SHORT += [f"instruments.{k}=null" for k in ("lpips", "clip", "judge", "reward", "frechet")]
SHORT += ["prompts.source=captions", "prompts.ordinary=8", "prompts.new=1"]


@pytest.fixture(scope="module")
def preset(all_settings, tmp_path_factory):
    dino = str(tiny.dino(tmp_path_factory.mktemp("dino") / "dino", 2))

    def make(*changes: str, kind: str = "zimage"):
        scored = [f"instruments.dino={{model: {dino}}}", "instruments.kid={features: dino}"]
        given = load_preset("zimage" if kind == "zimage" else "klein-4b", [*SHORT, *scored, *changes])
        return given.model_copy(update={"backbone": all_settings[kind]})

    return make


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    for i, colour in enumerate(("red", "blue")):
        Image.new("RGB", (40, 30), colour).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text("[V] outdoors")
    return folder


@pytest.fixture(scope="module")
def run(preset, pictures):
    """Tune, from the folder as the command does."""

    def call(out: Path, *changes: str, measured: bool = True, items=None) -> Path:
        found = own.read_pictures(pictures, "my corgi", 32)
        return job.tune(preset(*changes), items or found.items, "my corgi", out, measured, found.said())

    return call


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory):
    """A training that nothing stopped."""
    return run(tmp_path_factory.mktemp("whole") / "out")


def result(out: Path) -> dict[str, bytes]:
    """Every file but times, what only serves to go on, and locks."""
    apart = ("time.json", "state.pt", ".lock")
    found = {f.relative_to(out).as_posix(): f for f in sorted(out.rglob("*")) if f.is_file() and f.name not in apart}
    return {name: f.read_bytes() for name, f in found.items() if "/state-" not in name}


def killed(work) -> None:
    """Do some work in a process of its own, in which `die` ends all at once, as a kill does."""
    sys.stdout.flush()
    if (child := os.fork()) == 0:
        try:
            work()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def die(*_, **__):
    os._exit(9)


def after(function):
    """The same, and then the end."""

    def ended(*arguments, **options):
        function(*arguments, **options)
        os._exit(9)

    return ended


def at(step, function=Training.advance):
    return lambda self, parts: die() if self.step == step else function(self, parts)


PHASES = {
    "encoding": (encoded, "encode", die),
    "the first step": (Training, "advance", at(0)),
    "between two steps": (Training, "advance", at(1)),
    "a preview": (job, "keep", die),
    "the end of the training": (results, "conclude", die),
    "after it": (loop, "run", after(loop.run)),
    "exporting": (job, "export", die),
    "after the LoRA": (job, "export", after(job.export)),
    "drawing the gallery": (job, "put", die),
    "before the card": (job, "card", die),
    "publishing": (job, "replace", die),
    "after publishing": (job, "replace", after(job.replace)),
    "writing prompts": (prompts, "write_text", die),
    "measuring": (measure, "draw_cell", die),
    "scoring": (measure, "score_pictures", die),
    "after measuring": (measure, "write_json", after(measure.write_json)),
}

UNTRAINED = ("encoding", "the first step", "between two steps", "a preview", "writing prompts")


@pytest.mark.parametrize("phase", PHASES)
def test_killed_in_any_phase_the_same_call_goes_on_and_ends_with_equal_bytes(phase, run, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(*PHASES[phase])
        killed(lambda: run(tmp_path / "out"))
    begun = Training.advance
    steps = []
    monkeypatch.setattr(Training, "advance", lambda self, parts: steps.append(self.step) or begun(self, parts))
    out = run(tmp_path / "out")
    assert result(out) == result(whole)
    assert bool(steps) == (phase in UNTRAINED)  # what is trained is not trained again
    assert not [f for f in out.rglob(".*") if f.name.startswith((".tmp-", ".old-"))]


def test_a_finished_one_is_said_in_one_line_and_nothing_is_done(run, whole, capsys, monkeypatch):
    before = {f: f.stat().st_mtime_ns for f in whole.rglob("*") if f.name not in (".lock", whole.name)}
    monkeypatch.setattr(job, "_train_and_show", lambda *a: pytest.fail("trained again"))
    monkeypatch.setattr(measure, "measure", lambda *a: pytest.fail("measured again"))
    run(whole)
    said = capsys.readouterr().out.splitlines()
    assert said == [f"{whole}: finished before, 2 steps, and measured"]
    assert before == {f: f.stat().st_mtime_ns for f in whole.rglob("*") if f.name not in (".lock", whole.name)}


def test_what_someone_wrote_into_the_card_stays(run, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "out")
    (tmp_path / "out" / "README.md").write_text("mine")
    run(tmp_path / "out")
    assert (tmp_path / "out" / "README.md").read_text() == "mine"


def test_more_steps_after_the_end_are_one_training_of_so_many(run, tmp_path, monkeypatch):
    more = ["train.steps=4", "train.checkpoints=[1]"]
    straight = run(tmp_path / "straight", *more)
    run(tmp_path / "out")
    first = (tmp_path / "out" / "measured.json").read_text()
    begun, steps = Training.advance, []
    monkeypatch.setattr(Training, "advance", lambda self, parts: steps.append(self.step) or begun(self, parts))
    out = run(tmp_path / "out", *more)
    assert steps == [2, 3]
    mine, theirs = result(out), result(straight)
    for name in theirs:
        if not name.startswith("previews"):
            assert mine[name] == theirs[name], name
    assert (out / "measured.json").read_text() != first and (out / "pictures" / "step-0004").exists()
    assert not (out / "checkpoints" / "step-0002").exists()
    with pytest.raises(UserError, match="finished, with 4 steps; ask for more to go on"):
        run(tmp_path / "out")


def test_another_setting_is_named_before_anything_is_encoded(run, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "Encoded", lambda *a: pytest.fail("encoded"))
    with pytest.raises(UserError, match=r"other settings \(train.lora_rank 2 -> 4\).*choose another --out"):
        run(whole, "train.lora_rank=4")
    monkeypatch.undo()
    with monkeypatch.context() as patch:
        patch.setattr(results, "conclude", die)
        killed(lambda: run(tmp_path / "out", "train.save_every=1.0e-9"))
    with pytest.raises(UserError, match=r"tune.seed 30 -> 31"):
        run(tmp_path / "out", "tune.seed=31")
    run(tmp_path / "out", "train.save_every=30", "train.states=1")  # these change nothing of the result
    assert result(tmp_path / "out")["pytorch_lora_weights.safetensors"]


@pytest.mark.parametrize("phase", ["encoding", "drawing the gallery", "measuring"])
def test_ctrl_c_anywhere_is_one_line(phase, run, whole, tmp_path, monkeypatch):
    where, name, _ = PHASES[phase]

    def interrupted(*_, **__):
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    with monkeypatch.context() as patch:
        patch.setattr(where, name, interrupted)
        with pytest.raises(Stopped, match="stopped; the same command goes on") as stopped:
            run(tmp_path / "out")
    signal.signal(signal.SIGINT, before)
    assert stopped.value.status == 130
    assert result(run(tmp_path / "out")) == result(whole)


def test_a_second_tune_gets_one_line(run, tmp_path):
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / ".lock"):
        (tmp_path / "out" / ".lock").write_text("7 a training of my dog\n")
        with pytest.raises(Busy, match=r"out: a training of my dog \(process 7\) writes here; wait"):
            run(tmp_path / "out")
    assert {f.name for f in (tmp_path / "out").iterdir()} == {".lock"}


def test_a_damaged_lora_is_made_anew_of_the_checkpoint(run, whole, tmp_path, monkeypatch):
    shutil.copytree(whole, tmp_path / "out")
    file = tmp_path / "out" / "pytorch_lora_weights.safetensors"
    data = bytearray(file.read_bytes())
    data[-5] ^= 4
    file.write_bytes(data)
    monkeypatch.setattr(Training, "advance", lambda *a: pytest.fail("trained again"))
    assert result(run(tmp_path / "out")) == result(whole)


def test_measuring_is_held_to_the_training_that_it_was_of(run, tmp_path):
    out = run(tmp_path / "out", measured=False)
    assert "Not measured" in (out / "README.md").read_text() and not (out / "measured.json").exists()
    run(out)
    assert "| dino distance |" in (out / "README.md").read_text()
    run(out, "train.steps=3", measured=False)
    assert "Not measured" in (out / "README.md").read_text() and not (out / "measured.json").exists()


def test_full_size_pictures_lie_beside_the_sheets(whole):
    assert {f.name for f in (whole / "gallery").iterdir()} == {"1-untouched.png", "1-tuned.png"}
    assert {f.name for f in (whole / "previews").iterdir()} == {
        *(f"step-0000{i}" for i in range(3)), *(f"step-0000{i}.png" for i in range(3)),
    }  # fmt: skip
    with Image.open(whole / "gallery" / "1-tuned.png") as picture:
        assert picture.size == (32, 32)
    assert (whole / "previews" / "step-00000" / "1-untouched.png").read_bytes() == (
        whole / "gallery" / "1-untouched.png"
    ).read_bytes()
    assert (whole / "previews" / "step-00002" / "1-step-2.png").exists()


def test_a_folder_of_pictures_that_is_replaced_is_written_whole(tmp_path):
    rows = {"tuned": torch.zeros(2, 3, 16, 16)}
    gallery.keep(rows, tmp_path / "g")
    gallery.keep({"tuned": torch.zeros(1, 3, 16, 16)}, tmp_path / "g")
    assert [f.name for f in (tmp_path / "g").iterdir()] == ["1-tuned.png"]
