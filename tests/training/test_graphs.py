"""Recorded passes, with a stand-in for the GPU that replays by running again."""

from dataclasses import replace

import pytest
import tiny
import torch

from dopsd import backbones
from dopsd.method.context import Condition
from dopsd.objectives import Batch
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


def part(value: float, length: int = 2, with_teacher: bool = True) -> Batch:
    """A batch of one sample whose tensors hold value, value + 1, ..."""
    numbers = iter(range(9))

    def tensor(*shape):
        return torch.full(shape, value + next(numbers))

    latents, noise, times, grid = tensor(1, 2), tensor(1, 2), tensor(1), tensor(3)
    student = [Condition(tensor(length, 4), (tensor(5), tensor(6)))]
    return Batch(latents, noise, times, student, [Condition(tensor(3, 4))] if with_teacher else None, grid)


def firsts(batch: Batch) -> list[float]:
    return [t.flatten()[0].item() for t in graphs.tensors(batch)]


def test_all_tensors_of_a_batch_in_order():
    assert firsts(part(10.0)) == [10, 11, 12, 13, 14, 15, 16, 17]
    assert firsts(part(10.0, with_teacher=False)) == [10, 11, 12, 13, 14, 15, 16]


@pytest.mark.parametrize("with_teacher", [True, False])
def test_a_copy_is_equal_and_shares_no_memory(with_teacher):
    one = part(10.0, with_teacher=with_teacher)
    other = graphs.copied(one, torch.device("cpu"))
    assert firsts(other) == firsts(one) and (other.teacher_context is None) != with_teacher
    assert [t.shape for t in graphs.tensors(other)] == [t.shape for t in graphs.tensors(one)]
    mine = {t.data_ptr() for t in graphs.tensors(one)}
    assert not mine & {t.data_ptr() for t in graphs.tensors(other)}
    where = {t.device.type for t in graphs.tensors(graphs.copied(one, torch.device("meta")))}
    assert where == {"meta"}


def test_a_shape_runs_then_is_recorded_then_replays_what_it_is_given():
    ran, machine = [], Machine()

    def run(batch):
        ran.append(firsts(batch))
        return batch.noise.sum().double()

    passes = Recorded(run, torch.device("cpu"), machine)
    counts, losses = [], []
    for value, length in ((1, 2), (20, 3), (3, 2), (4, 2), (50, 3)):
        losses.append(passes(part(float(value), length)))
        assert ran[-1] == firsts(part(float(value), length))
        counts.append((machine.ran, machine.recordings, machine.replays))
    assert counts == [(1, 0, 0), (2, 0, 0), (2, 1, 1), (2, 1, 2), (2, 2, 3)]
    assert [x.item() for x in losses] == [2 * (v + 1) for v in (1, 20, 3, 4, 50)]  # each kept, whatever ran after it


def test_shapes_beyond_the_most_are_not_recorded(monkeypatch):
    monkeypatch.setattr(graphs, "MOST", 1)
    machine = Machine()
    passes = Recorded(lambda batch: batch.noise.sum().double(), torch.device("cpu"), machine)
    for length in (2, 3, 2, 3, 3, 2):
        passes(part(1.0, length))
    assert (machine.ran, machine.recordings, machine.replays) == (4, 1, 2)


def test_what_runs_or_is_recorded_stands_on_the_device():
    where = []

    def run(batch):
        where.append(batch.noise.device.type)
        return torch.zeros(())

    passes = Recorded(run, torch.device("meta"), Machine())
    for value in (1.0, 2.0):
        passes(part(value))
    assert where == ["meta", "meta"]


def test_further_states_are_copied_and_compared_too():
    pairs = ((torch.full((1, 2), 90.0), torch.full((1,), 91.0)), (torch.full((1, 2), 92.0), torch.full((1,), 93.0)))
    one = replace(part(10.0), more=pairs)
    other = graphs.copied(one, torch.device("cpu"))
    assert firsts(other) == firsts(one) == [10, 11, 12, 13, 90, 91, 92, 93, 14, 15, 16, 17]
    assert not {t.data_ptr() for t in graphs.tensors(one)} & {t.data_ptr() for t in graphs.tensors(other)}
