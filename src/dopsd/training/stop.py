"""Ctrl-C that ends a training between two steps, and what its progress bar says beside the loss."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import torch

from dopsd.support.errors import UserError


class Stopped(UserError):
    """The user asked a training to stop; it is saved."""

    status = 130


@dataclass
class Request:
    """Whether the user has asked to stop."""

    asked: bool = False


@contextmanager
def asked_to_stop() -> Iterator[Request]:
    """Within: the first Ctrl-C (SIGINT) or SIGTERM only sets `asked`, a second one interrupts at once."""
    request = Request()
    if threading.current_thread() is not threading.main_thread():  # signals reach the main thread only
        yield request
        return
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}

    def handle(number, frame):
        request.asked = True
        for s, handler in before.items():
            signal.signal(s, handler)

    for s in before:
        signal.signal(s, handle)
    try:
        yield request
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)


def memory(device: torch.device) -> str:
    """The peak of the GPU's memory so far, or what this process holds now."""
    if device.type == "cuda":
        return f"{torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB"
    return f"{psutil.Process().memory_info().rss / 2**30:.1f} GiB"
