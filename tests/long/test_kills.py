"""Trainings and studies that are killed: what is lost is at most a moment's work, and the end is the same to the bit."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import tiny
from small import Model, in_a_child, picture, result

from dopsd.training.loop import Training, train

KILLS = {"lora": 12, "full": 10, "offload": 8, "sft": 10, "two": 10}


@pytest.mark.parametrize("kind", KILLS)
def test_a_training_killed_at_random_ends_in_the_same_bytes(kind, all_settings, train_settings, concept_set, tmp_path):
    """SIGKILL at a random moment, half of them in the middle of a write; then the same call, to the end."""
    given = {"kind": kind, "folder": str(tmp_path), "kills": KILLS[kind], "manifest": str(concept_set)}
    given |= {"backbone": all_settings["zimage"].model_dump(), "settings": train_settings.model_dump()}
    (tmp_path / "given.json").write_text(json.dumps(given))
    command = [sys.executable, str(Path(__file__).with_name("killed.py")), str(tmp_path / "given.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    met = json.loads(done.stdout.splitlines()[-1])
    assert met["write"] + met["between"] >= KILLS[kind] and met["write"] >= 2, met


def killed(monkeypatch, at: int) -> None:
    """From now on this process dies at the so manyth call that changes something on the disk, before it is done."""
    left = iter(range(at))

    def dying(function):
        def call(*arguments, **how):
            if next(left, None) is None:
                os._exit(9)
            return function(*arguments, **how)

        return call

    for name in ("fsync", "replace", "unlink", "rmdir", "mkdir"):
        monkeypatch.setattr(os, name, dying(getattr(os, name)))


@pytest.mark.parametrize("keep_state", [False, True])
def test_at_no_write_does_a_kill_lose_the_training(train_settings, monkeypatch, tmp_path, keep_state):
    """Killed at the first write, at the second, ... to the last; twice each; then the same call ends in the same bytes."""
    short = {"tune": "full", "steps": 3, "checkpoints": (2,), "save_every": 9e9 if keep_state else 1e-9, "states": 1}
    settings = train_settings.model_copy(update=short)
    item = picture(tmp_path)

    def trained(work):
        how = {"seed": 3, "learning_rate": 0.01, "name": "test", "work": tmp_path / work, "keep_state": keep_state}
        return train(
            Model(dtype="x"), [item], tiny.method("dopsd"), settings, cache=tmp_path / f"{work}-features", **how
        )

    whole = result(trained("whole"))
    assert set(whole) >= {"loss.csv", "identity.json", "step-0002/sealed.json", "step-0003/sealed.json"}
    begun, advance = [], Training.advance
    monkeypatch.setattr(Training, "advance", lambda self, parts: begun.append(self.step) or advance(self, parts))
    for at in range(10_000):
        work = f"killed-{at}"

        def dies(work=work, at=at):
            killed(monkeypatch, at)
            trained(work)

        statuses = {in_a_child(dies) for _ in range(2)}
        begun.clear()
        done = trained(work)
        assert result(done) == whole, at
        assert len(list(done.glob("state-*"))) == keep_state and not list(done.glob(".*"))
        shutil.rmtree(tmp_path / work)
        shutil.rmtree(tmp_path / f"{work}-features")
        if statuses == {0}:
            break
        assert statuses <= {9, 0}
    assert at > 40


def family(process: psutil.Process) -> list[psutil.Process]:
    return process.children(recursive=True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_study_whose_dvc_alone_is_killed_leaves_no_process_that_writes_on(study, number):
    study.set(train__steps=2000, execute__jobs=2)
    process = study.start("dvc", "repro", "train")
    store, dvc = study.folder / "models/store", psutil.Process(process.pid)
    until = time.monotonic() + 300
    while not any(store.glob("work/*/*/identity.json")) and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(3)
    left = family(dvc)
    assert len(left) >= 3  # the stage and its two workers
    assert process.poll() is None
    os.kill(process.pid, number)  # and not its group
    process.wait(60)
    _, alive = psutil.wait_procs(left, timeout=10)
    assert not [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE], alive
    said, _ = process.communicate(timeout=60)
    assert "has ended: stopped; the same command goes on" in said
    before = {f: f.stat().st_mtime_ns for f in store.rglob("*") if f.is_file()}
    time.sleep(2)
    assert {f: f.stat().st_mtime_ns for f in store.rglob("*") if f.is_file()} == before


def test_a_second_run_of_a_study_is_one_clear_line(study):
    study.set(train__steps=2000)
    process = study.start("dvc", "repro", "train")
    try:
        until = time.monotonic() + 300
        while not any((study.folder / "models/store").glob("work/*/*/identity.json")) and time.monotonic() < until:
            time.sleep(0.1)
        second = study.start("python", "src/stage.py", "train")
        said, _ = second.communicate(timeout=120)
        assert second.returncode == 1 and "Traceback" not in said
        (line,) = [x for x in said.splitlines() if x.startswith("error: ")]
        assert "a stage of the study (process " in line and "writes here; wait for its end" in line
        again = study.start("dvc", "repro", "train")
        said, _ = again.communicate(timeout=120)
        assert again.returncode != 0 and "Traceback" not in said, said
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
