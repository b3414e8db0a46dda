import os
import signal
import threading
from types import SimpleNamespace

import psutil
import pytest
import torch

from dopsd.training import stop
from dopsd.training.stop import asked_to_stop


@pytest.fixture
def handlers():
    """Handlers of the test's own, so that a signal that passes through ends no test."""
    got = []
    before = {s: signal.signal(s, lambda number, frame: got.append(number)) for s in (signal.SIGINT, signal.SIGTERM)}
    yield got
    for s, handler in before.items():
        signal.signal(s, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_passes(handlers, number):
    with asked_to_stop() as request:
        assert request.asked is False
        os.kill(os.getpid(), number)
        assert request.asked is True and handlers == []
        for passing in (signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), passing)
        assert handlers == [signal.SIGINT, signal.SIGTERM]


def test_signals_are_as_before_afterwards(handlers):
    with pytest.raises(ValueError, match="inside"), asked_to_stop():
        raise ValueError("inside")
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(os.getpid(), number)
    assert handlers == [signal.SIGINT, signal.SIGTERM]


def test_another_thread_is_never_asked(handlers):
    got = []

    def work():
        with asked_to_stop() as request:
            got.append(request.asked)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert got == [False]


def test_memory_is_said_in_gibibytes(monkeypatch):
    held = SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=3 * 2**29))
    monkeypatch.setattr(psutil, "Process", lambda: held)
    assert stop.memory(torch.device("cpu")) == "1.5 GiB"
    asked = []
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: asked.append(device) or 5 * 2**29)
    assert stop.memory(torch.device("cuda", 1)) == "2.5 GiB" and asked == [torch.device("cuda", 1)]
