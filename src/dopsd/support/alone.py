"""One writer for a folder, and no process that outlives the one that started it."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from dopsd.support.errors import UserError, told

FILE = ".lock"
EVERY = 0.5  # seconds between two looks at the process that is followed
STOPPED = 130
_held: dict[tuple[int, Path], int] = {}  # how often this process is in `alone` for a folder
_followed: set[tuple[int, int]] = set()


class Busy(UserError):
    """Another process writes to the folder."""


@contextmanager
def alone(folder: Path, what: str) -> Iterator[None]:
    """Within: no other process is in `alone` for this folder. `what` is for the message: "a training". Busy names the other.

    The lock, `.lock` in the folder, goes with its process, however that ends; the file stays. A process may enter again. Of
    the processes of a launcher (RANK in the environment), which share their work, the first one locks for all.
    """
    key = os.getpid(), folder.resolve()
    if _held.get(key) or os.environ.get("RANK", "0") != "0":
        _held[key] = _held.get(key, 0) + 1
        try:
            yield
        finally:
            _held[key] -= 1
        return
    file = folder / FILE
    lock = FileLock(file, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise Busy(
            f"{folder}: {_holder(file)} writes here; wait for its end, stop it, or choose another folder"
        ) from None
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or told(error)
        raise UserError(f"{file}: cannot be locked ({reason}); mend the rights, or choose another folder") from None
    _held[key] = 1
    try:
        _sign(file, what)
        yield
    finally:
        del _held[key]
        lock.release()


def _sign(file: Path, what: str) -> None:
    with suppress(OSError):  # a full disk: the lock holds, though nobody can read whose it is
        file.write_text(f"{os.getpid()} {what}\n", encoding="utf-8")


def _holder(file: Path) -> str:
    try:
        number, _, what = file.read_text(encoding="utf-8").strip().partition(" ")
        return f"{what} (process {int(number)})"
    except (OSError, ValueError):
        return "another process"


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def follow(process: int | psutil.Process | None = None, what: str = "the process that started this one") -> None:
    """From now on this process ends, within a second and at once, when another has: the one that started it if none is given.

    What it was writing stays as a kill leaves it (see `files.whole`). Nothing happens where it is this process itself.
    """
    try:
        if process is None:
            process = os.getppid()
        watched = process if isinstance(process, psutil.Process) else psutil.Process(process)
    except psutil.Error:
        _end(what)
        return
    key = os.getpid(), watched.pid
    if watched.pid == os.getpid() or key in _followed:
        return
    _followed.add(key)

    def watch() -> None:
        while _alive(watched):
            time.sleep(EVERY)
        _end(what)

    threading.Thread(target=watch, name="follow", daemon=True).start()


def _end(what: str) -> None:
    try:
        print(f"{what} has ended: stopped; the same command goes on", file=sys.stderr, flush=True)
    finally:
        os._exit(STOPPED)


def follow_dvc() -> None:
    """`follow` the nearest `dvc` that this process was started by, through whatever shells; nothing where there is none."""
    try:
        ancestors = psutil.Process().parents()
    except psutil.Error:
        return
    for process in ancestors:
        if _is_dvc(process):
            follow(process, "dvc")
            return


def _is_dvc(process: psutil.Process) -> bool:
    try:
        words = process.cmdline()[:3]
    except psutil.Error:
        return False
    return any(Path(w).name in ("dvc", "dvc.exe") for w in words[:2]) or words[1:3] == ["-m", "dvc"]
