"""One writer a folder, and processes that end with those that started them: real ones."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from dopsd.support import alone as module
from dopsd.support.alone import Busy, alone, follow
from dopsd.support.errors import UserError

HOLDS = "import sys; from pathlib import Path; from dopsd.support.alone import alone\n"
HOLDS += "with alone(Path(sys.argv[1]), 'a training of x'): print('in', flush=True); sys.stdin.read()"


def started(*command: str, **more) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, *command], stdin=-1, stdout=-1, stderr=-1, text=True, **more)


def test_the_second_writer_is_told_who_the_first_is_and_a_kill_lets_go(tmp_path):
    first = started("-c", HOLDS, str(tmp_path / "out"))
    try:
        assert first.stdout.readline() == "in\n"
        with pytest.raises(Busy) as raised, alone(tmp_path / "out", "mine"):
            pass
        assert str(raised.value) == (
            f"{tmp_path / 'out'}: a training of x (process {first.pid}) writes here; wait for its end, stop it, or choose "
            "another folder"
        )
        with alone(tmp_path / "other", "mine"):
            pass
        first.kill()
        first.wait()
        with alone(tmp_path / "out", "mine"):
            assert (tmp_path / "out" / ".lock").read_text() == f"{os.getpid()} mine\n"
    finally:
        first.kill()
        first.communicate()


def test_a_process_may_enter_again_and_leaves_at_the_outer_end(tmp_path):
    with alone(tmp_path, "one"):
        with alone(tmp_path / "." / ".." / tmp_path.name, "two"):
            pass
        second = started("-c", HOLDS, str(tmp_path))
        _, said = second.communicate("")
        assert second.returncode == 1 and "Busy" in said
    second = started("-c", HOLDS, str(tmp_path))
    assert second.communicate("")[0] == "in\n" and second.returncode == 0


def test_processes_of_a_launcher_share_the_lock_of_the_first(tmp_path, monkeypatch):
    with alone(tmp_path, "one"):
        monkeypatch.setenv("RANK", "1")
        second = started("-c", HOLDS, str(tmp_path))
        assert second.communicate("")[0] == "in\n"


def test_a_folder_that_cannot_be_locked_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    said = r"/file/\.lock: cannot be locked \(.+\); mend the rights"
    with pytest.raises(UserError, match=said), alone(tmp_path / "file", "mine"):
        pass
    (tmp_path / "garbled").mkdir()
    assert module._holder(tmp_path / "garbled" / ".lock") == "another process"


WRITES = """
import os, subprocess, sys, time
from pathlib import Path
from dopsd.support import alone
file = Path(sys.argv[1])
if len(sys.argv) > 2:  # the parent
    child = subprocess.Popen([sys.executable, "-c", sys.argv[2], str(file)], start_new_session=True)
    child.wait()
else:
    getattr(alone, os.environ["HOW"])()
    while True:
        part = file.with_suffix(".part")
        part.write_text(str(os.getpid()))
        part.replace(file)  # whole, whenever it is read
        time.sleep(0.02)
"""


@pytest.mark.parametrize("number", ["kill", "terminate"])
def test_a_process_ends_with_the_one_that_started_it(tmp_path, number):
    file = tmp_path / "alive"
    parent = started("-c", WRITES, str(file), WRITES, env=os.environ | {"HOW": "follow"})
    while not file.exists():
        time.sleep(0.02)
    child = psutil.Process(int(file.read_text()))
    getattr(parent, number)()
    parent.wait()
    child.wait(5)
    _, said = parent.communicate()
    assert said == "the process that started this one has ended: stopped; the same command goes on\n"


def test_the_nearest_dvc_is_followed_through_shells(tmp_path):
    file, dvc = tmp_path / "alive", tmp_path / "dvc"
    (tmp_path / "child.py").write_text(WRITES)
    dvc.write_text(
        f"import subprocess; subprocess.run('{sys.executable} {tmp_path}/child.py {file} ; true', shell=True)\n"
    )
    parent = started(str(dvc), env=os.environ | {"HOW": "follow_dvc"})
    while not file.exists():
        time.sleep(0.02)
    child = psutil.Process(int(file.read_text()))
    assert child.ppid() != parent.pid  # a shell between them
    parent.kill()
    parent.wait()
    child.wait(5)
    assert parent.communicate()[1] == "dvc has ended: stopped; the same command goes on\n"


def test_without_a_dvc_and_of_itself_nothing_is_followed(monkeypatch):
    monkeypatch.setattr(module.threading, "Thread", lambda *a, **k: pytest.fail("followed"))
    monkeypatch.setattr(module, "_is_dvc", lambda process: False)
    module.follow_dvc()
    follow(os.getpid())


def test_who_is_gone_before_it_is_followed_ends_this_process_too():
    gone = started("-c", "")
    gone.communicate()
    follower = started("-c", f"from dopsd.support.alone import follow; follow({gone.pid}, 'x'); print('on')")
    assert follower.communicate() == ("", "x has ended: stopped; the same command goes on\n")
    assert follower.returncode == module.STOPPED
