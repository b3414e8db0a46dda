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
            x, _ = through(block, x, None)
        return x


class Narrow(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, x, mask):
        return (x * self.weight).exp().tanh(), mask  # as some blocks do: what is told of pictures and of words


class Wide(Narrow):
    def forward(self, x, mask):
        for _ in range(4):
            x, mask = super().forward(x, mask)
        return x, mask


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


class Asked(torch.nn.Module):
    """A block that holds so many bytes more of a meter, and gives back nothing and a tensor."""

    def __init__(self, meter, holds):
        super().__init__()
        self.meter, self.holds = meter, holds

    def forward(self, x, mask):
        self.meter.now += self.holds
        self.meter.most = max(self.meter.most, self.meter.now)
        return None, x * 1


class Heavy(Asked):
    pass


class Light(Asked):
    pass


class Late(Asked):
    pass


@pytest.mark.parametrize(
    ("limit", "kept", "later"), [(1415, {1, 2, 3}, {3, 4}), (1414, {2, 3}, {3, 4}), (1214, set(), set())]
)
def test_a_plan_by_hand(limit, kept, later):
    held, again = Held(), []
    held.now, held.most = 1000, 5000  # the peak of what was drawn before

    def recompute(block, *given):
        again.append(block)
        held.now += 1  # its input
        return None, given[0] * 1

    one, two, heavy, light = Asked(held, 40), Asked(held, 40), Heavy(held, 160), Light(held, -5)
    late = Late(held, 9)
    of = budget.Budgeted(recompute, limit, held, list)

    def round_of(*blocks):
        again.clear()
        x = [of(b, torch.ones(1 if b in (heavy, late) else 4, requires_grad=True), None)[1] for b in blocks]
        held.most = max(held.most, held.now + 59)  # in the backward pass
        sum(t.sum() for t in x).backward()
        held.now = 1000
        return [blocks.index(b) for b in again]

    assert round_of(one, two, heavy, light) == [1]  # one of each kind is measured: 40 / 4, 160 / 1 and 0 bytes a number
    # 40 + 1 + 160 - 5 + 59 are 55 beside the 200 of those; with 1000 before, and 160 to spare, 1415 leave 0 + 160 + 40
    assert round_of(one, two, heavy, light, late) == [i for i in (0, 1, 2, 3, 4) if i not in kept]
    assert of.beside == 55 and of.kept == kept
    round_of(one, two, heavy, light, late)  # an unknown kind is taken for the heaviest
    assert of.kept == later


def test_a_compiled_block_is_of_its_own_kind():
    assert budget._kind(torch.compile(Narrow())) is Narrow is budget._kind(Narrow())


def test_what_nothing_is_learnt_from_is_planned_all_the_same():
    of = budget.Budgeted(lambda block, *given: block(*given), 0, Held(), list)
    block = Narrow().requires_grad_(False)
    for _ in range(2):  # no backward pass can be waited for
        of(block, torch.ones(1), None)
    assert of.beside is not None and len(of.calls) == 1


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


@pytest.fixture
def gpu(monkeypatch):
    """A card of 80 GiB, and what torch was told of it."""
    told = []

    def properties(device):
        assert device == torch.device("cuda", 1)
        return SimpleNamespace(total_memory=80 * budget.GIB)

    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    for name in (
        "set_per_process_memory_fraction",
        "memory_allocated",
        "max_memory_allocated",
        "reset_peak_memory_stats",
    ):
        monkeypatch.setattr(torch.cuda, name, lambda *given, name=name: told.append((name, *given)) or len(told))
    return SimpleNamespace(device=torch.device("cuda", 1), told=told)


def test_what_no_budget_can_be_kept_for_is_said(gpu, train_settings):
    on = train_settings.model_copy(update={"gradient_checkpointing": True})
    with pytest.raises(UserError, match="--memory 24: is of a CUDA GPU, and this is cpu; leave it out"):
        budget.check(24, torch.device("cpu"), on)
    for gib in (1, 80.5):
        with pytest.raises(UserError, match=rf"--memory {gib}: give GiB, more than 1 and at most the 80\.0 of cuda:1"):
            budget.check(gib, gpu.device, on)
    with pytest.raises(UserError, match=r"set train\.gradient_checkpointing to true"):
        budget.check(24, gpu.device, on.model_copy(update={"gradient_checkpointing": False}))
    with pytest.raises(UserError, match=r"what recorded graphs keep for themselves; set train\.cuda_graphs to false"):
        budget.check(24, gpu.device, on.model_copy(update={"cuda_graphs": True}))
    budget.check(80, gpu.device, on)


def test_torch_is_held_to_a_budget_for_a_training_and_no_longer(gpu):
    transformer = SimpleNamespace(enable_gradient_checkpointing=lambda f: setattr(transformer, "asked", f))
    with budget.within(transformer, None, gpu.device):
        transformer.enable_gradient_checkpointing(len)
        assert transformer.asked is len and gpu.told == []
    with pytest.raises(KeyError), budget.within(transformer, 24, gpu.device):
        transformer.enable_gradient_checkpointing(len)
        assert transformer.asked.recompute is len and transformer.asked.limit == 23 * 0.95 * budget.GIB
        raise KeyError
    share = "set_per_process_memory_fraction"
    assert gpu.told == [(share, pytest.approx(23 / 80), gpu.device), (share, 1.0, gpu.device)]
    gpu.told.clear()
    meter = transformer.asked.meter
    assert [meter.allocated(), meter.peak(), meter.begin()] == [1, 2, None]
    assert gpu.told == [
        (name, gpu.device) for name in ("memory_allocated", "max_memory_allocated", "reset_peak_memory_stats")
    ]
