"""Processes of one launch, as torchrun would start them, but as forks of the test's: everything is imported already."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE = 300  # seconds


def fork(work: Callable[[], object], **environment: object) -> int:
    """The process id of a fork that does some work and ends, with 0 or, where the work raises, 1."""
    sys.stdout.flush()
    if child := os.fork():
        return child
    status = 1
    try:
        os.environ |= {name: str(value) for name, value in environment.items()}
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def start(processes: int, work: Callable[[int], object]) -> list[int]:
    """The process ids of a launch; each does `work(rank)`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    of_all = {"WORLD_SIZE": processes, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true"}

    def one(rank: int) -> int:
        return fork(lambda: work(rank), **of_all, RANK=rank, LOCAL_RANK=rank)

    return [one(rank) for rank in range(processes)]


def wait(pids: list[int]) -> list[int]:
    """The exit statuses of processes, which are killed where they take too long."""
    until, statuses = time.monotonic() + PATIENCE, dict.fromkeys(pids)
    while None in statuses.values():
        for pid in [pid for pid, status in statuses.items() if status is None]:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                statuses[pid] = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > until:
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    return list(statuses.values())


def launched(processes: int, work: Callable[[], Any], folder: Path) -> list[Any]:
    """What some work returns in each process of a launch, as JSON. folder: for the answers."""
    from accelerate.state import AcceleratorState

    def answer(rank: int) -> None:
        AcceleratorState._reset_state(reset_partial_state=True)  # of tests that ran in this process before
        (folder / f"answer-{rank}.json").write_text(json.dumps(work()))

    assert wait(start(processes, answer)) == [0] * processes
    return [json.loads((folder / f"answer-{rank}.json").read_text()) for rank in range(processes)]
