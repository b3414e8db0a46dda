"""Recorded passes, with a stand-in for the GPU that replays by running again."""

import pytest
import tiny
import torch

from dopsd import backbones
from dopsd.sets.jsonl import read_set
from dopsd.support.errors import UserError
from dopsd.training import graphs
from dopsd.training.encoded import Encoded
from dopsd.training.graphs import Recorded
from dopsd.training.loop import Training


class Machine:
    """Counts; what was recorded is computed at replay, from the tensors that were recorded."""

    def __init__(self):
        self.ran = self.recordings = self.replays = 0

    def run(self, run, part):
        self.ran += 1
        return run(part)

    def record(self, run, part):
        self.recordings += 1
        loss = torch.zeros((), dtype=torch.float64)

        def replay():
            self.replays += 1
            loss.copy_(run(part))

        return replay, loss


@pytest.fixture
def training(settings, train_settings):
    def make():
        return Training(
            backbones.load(settings), tiny.method("dopsd"), train_settings.model_copy(update={"batch_size": 1}), 0, 1e-3
        )

    return make


def batches(training, concept_set):
    """Four steps' batches of two lengths of text."""
    data = Encoded(training.backbone, read_set(concept_set), True)
    out = []
    for step in range(6):
        training.step = step
        out.append(training.batch(data))
    training.step = 0
    return out


def test_replayed_steps_are_the_steps_as_written(training, concept_set):
    plain, other, machine = training(), training(), Machine()
    for p in other.parameters:
        p.grad = torch.zeros_like(p)
    other.settings = other.settings.model_copy(update={"cuda_graphs": True})  # gradients stay where they are
    other.passes = Recorded(other._passes, torch.device("cpu"), machine)
    steps = batches(plain, concept_set)
    assert [plain.advance(b) for b in steps] == [other.advance(b) for b in steps]
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters, other.parameters, strict=True))
    shapes = [tuple(t.shape for t in graphs.tensors(b[0])) for b in steps]
    repeated = sum(shapes.count(s) > 1 for s in set(shapes))
    assert machine.ran == len(set(shapes)) > 1 and machine.recordings == repeated > 0
    assert machine.replays == len(shapes) - len(set(shapes))
    where = [p.grad.data_ptr() for p in other.parameters]
    other.advance(steps[0])
    assert where == [p.grad.data_ptr() for p in other.parameters]


def test_too_many_shapes_run_as_written(training, concept_set, monkeypatch):
    monkeypatch.setattr(graphs, "MOST", 0)
    one, machine = training(), Machine()
    passes = Recorded(one._passes, torch.device("cpu"), machine)
    for (part,) in batches(one, concept_set):
        passes(part)
    assert machine.recordings == machine.replays == 0 and machine.ran == 6


def test_a_cpu_cannot_record(settings, train_settings):
    with pytest.raises(UserError, match=r"train\.cuda_graphs needs a CUDA GPU, not cpu"):
        Training(
            backbones.load(settings),
            tiny.method("dopsd"),
            train_settings.model_copy(update={"cuda_graphs": True}),
            0,
            1e-3,
        )
