"""Checkpointing within a budget of memory, with a meter that counts what the backward pass has yet to use."""

import weakref
from functools import partial
from types import SimpleNamespace

import pytest
import tiny
import torch

from dopsd import backbones
from dopsd.sets.jsonl import read_set
from dopsd.support.errors import UserError
from dopsd.training import budget
from dopsd.training.encoded import Encoded
from dopsd.training.loop import Training

STEPS = 2


class Kept:
    def __init__(self, tensor):
        self.tensor = tensor


class Held:
    """Bytes that graphs hold for their backward passes (of a checkpointed block none: its inputs are others' outputs)."""

    def __init__(self):
        self.now = self.most = 0

    def pack(self, tensor):
        kept = Kept(tensor)
        self.move(tensor.nbytes)
        weakref.finalize(kept, self.move, -tensor.nbytes)
        return kept

    def move(self, by):
        self.now += by
        self.most = max(self.most, self.now)

    def allocated(self):
        return self.now

    def peak(self):
        return self.most

    def begin(self):
        self.most = self.now


@pytest.fixture
def trained(settings, train_settings, concept_set):
    """-> (losses, weights, the most that was held after the first step, what was said, calls of a pass)."""

    def run(limit, checkpointed=True):
        torch.manual_seed(0)
        backbone, held, said = backbones.load(settings), Held(), []
        how = train_settings.model_copy(update={"batch_size": 1, "gradient_checkpointing": checkpointed})
        inside = []
        if limit is not None:
            enable = backbone.transformer.enable_gradient_checkpointing
            backbone.transformer.enable_gradient_checkpointing = lambda recompute: enable(
                inside.append(budget.Budgeted(recompute, limit, held, said.append)) or inside[0]
            )
        training = Training(backbone, tiny.method("dopsd"), how, 0, 1e-3)
        data, losses = Encoded(backbone, read_set(concept_set), True), []
        with torch.autograd.graph.saved_tensors_hooks(held.pack, lambda kept: kept.tensor):
            for step in range(STEPS):
                training.step = step
                if step == 1:
                    held.begin()
                losses.append(training.advance(training.batch(data)))
        weights = torch.cat([p.detach().flatten() for p in training.parameters])
        return SimpleNamespace(losses=losses, weights=weights, most=held.most, said=said, of=inside and inside[0])

    return run


def test_a_budget_bounds_what_is_held_and_changes_no_number(trained):
    whole, none = trained(None, checkpointed=False), trained(0)
    blocks = len(none.of.calls)
    assert blocks > 3 and none.of.kept == set() and none.most < whole.most / 3
    assert none.said == [f"memory: 0 of {blocks} blocks keep their activations, the others compute them again"]
    kept = []
    for share in (0.3, 0.6, 1.5):
        limit = none.most + share * (whole.most - none.most)
        one = trained(limit)
        assert one.most <= limit and one.losses == whole.losses and torch.equal(one.weights, whole.weights)
        kept.append(len(one.of.kept))
        assert one.of.kept == set(range(blocks - kept[-1], blocks))  # the last ones, which are used and freed first
    assert kept == sorted(kept) and 0 <= kept[0] < kept[1] < kept[2] == blocks
    assert none.losses == whole.losses


class Two(torch.nn.Module):
    """Blocks of two kinds, the second of which keeps four times as much."""

    def __init__(self):
        super().__init__()
        self.narrow, self.wide = (torch.nn.ModuleList(kind() for _ in range(3)) for kind in (Narrow, Wide))

    def forward(self, x, through):
        for block in (*self.narrow, *self.wide):
            x = through(block, x, None)
        return x


class Narrow(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, x, mask):
        return (x * self.weight).exp().tanh()


class Wide(Narrow):
    def forward(self, x, mask):
        return super().forward(super().forward(super().forward(super().forward(x, mask), mask), mask), mask)


def test_a_loss_of_several_passes_is_one_round():
    x, model, held, said = torch.ones(1000), Two(), Held(), []

    def losses(of):
        with torch.autograd.graph.saved_tensors_hooks(held.pack, lambda kept: kept.tensor):
            for _ in range(3):
                loss = sum(model(x, of).mean() for _ in range(2))
                loss.backward()
                yield loss.item()

    whole = list(losses(lambda block, *given: block(*given)))
    limit = held.most * 2 // 3
    again = partial(torch.utils.checkpoint.checkpoint, use_reentrant=False, preserve_rng_state=False)
    of = budget.Budgeted(again, limit, held, said.append)
    steps = losses(of)
    assert next(steps) == whole[0]
    held.begin()
    assert list(steps) == whole[1:] and held.most <= limit
    assert len(of.calls) == 12 and of.kept == set(range(12 - len(of.kept), 12)) and 3 <= len(of.kept) < 12
    assert said == [f"memory: {len(of.kept)} of 12 blocks keep their activations, the others compute them again"]


def test_fewer_blocks_are_said_and_more_are_not():
    said, now = [], SimpleNamespace(allocated=lambda: now.used, peak=lambda: 0, begin=lambda: None, used=0)
    of = budget.Budgeted(lambda block, *given: block(*given), 100, now, said.append)

    class Block(torch.nn.Module):
        def forward(self, x, mask):
            return x

    blocks = [Block() for _ in range(4)]
    of.rates = {Block: 10.0}  # bytes a number
    for used in (0, 0, 60, 40, 1000):
        now.used = used
        for block in blocks:
            of(block, torch.ones(1), None)
    assert [line.split()[1] for line in said] == ["4", "3", "0"]


def test_what_no_budget_can_be_kept_for_is_said(monkeypatch, train_settings):
    on = train_settings.model_copy(update={"gradient_checkpointing": True})
    with pytest.raises(UserError, match="--memory 24: is of a CUDA GPU, and this is cpu; leave it out"):
        budget.check(24, torch.device("cpu"), on)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda d: SimpleNamespace(total_memory=80 * budget.GIB))
    for gib in (1, 81):
        with pytest.raises(UserError, match=rf"--memory {gib}: give GiB, more than 1 and at most the 80\.0 of cuda"):
            budget.check(gib, torch.device("cuda"), on)
    with pytest.raises(UserError, match=r"set train\.gradient_checkpointing to true"):
        budget.check(24, torch.device("cuda"), on.model_copy(update={"gradient_checkpointing": False}))
    budget.check(24, torch.device("cuda"), on)


def test_torch_is_held_to_a_budget_for_a_training_and_no_longer(monkeypatch):
    shares, transformer = [], SimpleNamespace(enable_gradient_checkpointing=lambda f: setattr(transformer, "asked", f))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda d: SimpleNamespace(total_memory=47 * budget.GIB))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda share, device: shares.append(share))
    with budget.within(transformer, None, torch.device("cuda")):
        transformer.enable_gradient_checkpointing(len)
        assert transformer.asked is len and shares == []
    with pytest.raises(KeyError), budget.within(transformer, 24, torch.device("cuda")):
        transformer.enable_gradient_checkpointing(len)
        assert transformer.asked.recompute is len and transformer.asked.limit == 23 * 0.95 * budget.GIB
        raise KeyError
    assert shares == [pytest.approx(23 / 47), 1.0]
