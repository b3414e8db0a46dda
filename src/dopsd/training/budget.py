"""Gradient checkpointing of as many blocks as a budget of GPU memory asks for, and of no more.

A block that keeps its activations costs memory until the backward pass has used them; one that is checkpointed computes them
again, a forward of its own. A round is what runs forward before a backward pass: the model once, or as often as a loss asks
it. The first round keeps the activations of one block of each kind, and measures what they take and what the round takes
beside them; every later one keeps those of its last blocks, which the backward pass needs, and frees, first. Which blocks
those are changes no number: nothing in them is random.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from dopsd.config.train import Train
from dopsd.support.errors import UserError

GIB = 2**30
CONTEXT = 1.0  # GiB that CUDA holds beside the allocator's
SPARE = 0.05  # of the rest: what the allocator cannot use between what it has handed out


class Meter(Protocol):
    """Bytes of a device's memory."""

    def allocated(self) -> int:
        """In use now."""
        ...

    def peak(self) -> int:
        """The most in use since `begin`."""
        ...

    def begin(self) -> None: ...


class Cuda:
    """A GPU's, by torch's allocator."""

    def __init__(self, device: torch.device):
        self.device = device

    def allocated(self) -> int:
        return torch.cuda.memory_allocated(self.device)

    def peak(self) -> int:
        return torch.cuda.max_memory_allocated(self.device)

    def begin(self) -> None:
        torch.cuda.reset_peak_memory_stats(self.device)


class Call(NamedTuple):
    """A block in a round: its class, and how many numbers it is given."""

    kind: type[nn.Module]
    numbers: int


def numbers(given: Sequence[Any]) -> int:
    """How many numbers the tensors among a block's arguments hold."""
    return sum(a.numel() for a in given if isinstance(a, Tensor))


class Budgeted:
    """What diffusers' models call in the place of a block, where gradients are asked for: `budgeted(block, *arguments)`.

    recompute: checkpoints a block, called alike. limit: bytes. say: is told how many blocks keep their activations, at first
    and whenever fewer do than ever before (after the first step Adam's moments take their place)."""

    def __init__(
        self, recompute: Callable[..., Any], limit: float, meter: Meter, say: Callable[[str], None] = tqdm.write
    ):
        self.recompute, self.limit, self.meter, self.say = recompute, limit, meter, say
        self.rates: dict[
            type[nn.Module], float
        ] = {}  # bytes that a block of a kind keeps, for each number that it is given
        self.first: nn.Module | None = None
        self.calls: list[Call] = []  # of this round so far
        self.kept: set[int] = set()  # blocks of this round that keep their activations, by their place in it
        self.begun = self.held = 0  # of the first round: bytes before it, bytes that its kept blocks took
        self.beside: int | None = None  # bytes that a round takes beside kept activations; None in the first
        self.watched = self.over = False  # whether this round's backward pass is waited for, and has begun
        self.told = -1  # of blocks that keep theirs, the fewest so far

    def __call__(self, block: nn.Module, *given: Any) -> Any:
        if self.first is None:
            self.first, self.begun = block, self.meter.allocated()
            self.meter.begin()
        elif block is self.first and (self.over or not self.watched):
            self._plan()
        place, call = len(self.calls), Call(_kind(block), numbers(given))
        self.calls.append(call)
        if self.beside is None and call.kind not in self.rates:
            out = self._measured(block, call, given)
        else:
            out = block(*given) if place in self.kept else self.recompute(block, *given)
        if not self.watched:
            self._watch(out if isinstance(out, tuple) else (out,))
        return out

    def _watch(self, out: Sequence[Any]) -> None:
        for tensor in out:
            if isinstance(tensor, Tensor) and tensor.requires_grad:
                tensor.register_hook(self._backward)
                self.watched = True
                return

    def _backward(self, gradient: Tensor) -> None:
        self.over = True

    def _measured(self, block: nn.Module, call: Call, given: Sequence[Any]) -> Any:
        before = self.meter.allocated()
        out = block(*given)
        took = max(0, self.meter.allocated() - before)
        self.rates[call.kind] = took / max(1, call.numbers)
        self.held += took
        return out

    def _plan(self) -> None:
        """Choose the blocks of the round that begins, by those of the one before it."""
        if self.beside is None:
            self.beside = max(0, self.meter.peak() - self.begun - self.held)
        each = [self.rates.get(c.kind, max(self.rates.values())) * c.numbers for c in self.calls]
        room = self.limit - self.meter.allocated() - self.beside - max(each)  # one to spare: shapes differ a little
        self.kept = set()
        for place in reversed(range(len(each))):
            room -= each[place]
            if room < 0:
                break
            self.kept.add(place)
        if self.told < 0 or len(self.kept) < self.told:
            self.told = len(self.kept)
            self.say(f"memory: {self.told} of {len(each)} blocks keep their activations, the others compute them again")
        self.calls, self.watched, self.over = [], False, False


def _kind(block: nn.Module) -> type[nn.Module]:
    """A block's class, of one that is compiled, too."""
    return type(getattr(block, "_orig_mod", block))


def check(gib: float, device: torch.device, settings: Train) -> None:
    """UserError where a training cannot be kept within so much memory of a device."""
    if device.type != "cuda":
        raise UserError(f"--memory {gib:g}: is of a CUDA GPU, and this is {device}; leave it out")
    there = torch.cuda.get_device_properties(device).total_memory / GIB
    if not CONTEXT < gib <= there:
        raise UserError(f"--memory {gib:g}: give GiB, more than {CONTEXT:g} and at most the {there:.1f} of {device}")
    if not settings.gradient_checkpointing:
        raise UserError(
            f"--memory {gib:g}: says how many blocks are checkpointed, and none are: set train.gradient_checkpointing to true"
        )
    if settings.cuda_graphs:  # of each shape; a preview, or the first batch of another shape, runs beside them
        raise UserError(
            f"--memory {gib:g}: does not count what recorded graphs keep for themselves; set train.cuda_graphs to false"
        )


@contextmanager
def within(transformer: Any, gib: float | None, device: torch.device) -> Iterator[None]:
    """Around a training: its transformer, when asked to checkpoint its blocks, does so as far as the budget asks, and torch
    hands out no more. gib: of the GPU's memory, with CUDA's own; None: all there is, and every block is checkpointed."""
    if gib is None:
        yield
        return
    limit, there = (gib - CONTEXT) * GIB, torch.cuda.get_device_properties(device).total_memory
    budgeted(transformer, limit * (1 - SPARE), Cuda(device))
    torch.cuda.set_per_process_memory_fraction(limit / there, device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)


def budgeted(transformer: Any, limit: float, meter: Meter) -> None:
    """Let what a training hands to `transformer.enable_gradient_checkpointing` be called for the blocks that `limit` bytes
    leave out."""
    enable = transformer.enable_gradient_checkpointing
    transformer.enable_gradient_checkpointing = lambda recompute: enable(Budgeted(recompute, limit, meter))
