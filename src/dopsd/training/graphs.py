"""A training's forward and backward passes as CUDA graphs: recorded once for a batch's shape, then replayed as a whole.

A step of small pictures launches some twenty thousand kernels, so the GPU waits for Python; a replay launches them at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from dopsd.method.context import Condition, Context
from dopsd.objectives import Batch

Run = Callable[[Batch], Tensor]
MOST = 64  # shapes: each keeps a graph in memory; batches of further shapes run unrecorded


def tensors(part: Batch) -> list[Tensor]:
    """All tensors of a batch, in order."""
    contexts = [*part.student_context, *(part.teacher_context or [])]
    return [
        part.latents,
        part.noise,
        part.times,
        part.grid,
        *(t for pair in part.more for t in pair),
        *(t for c in contexts for t in (c.features, *c.references)),
    ]


def copied(part: Batch, device: torch.device) -> Batch:
    """The same batch in memory of its own on the device."""

    def own(t: Tensor) -> Tensor:
        return t.to(device, copy=True)

    def context(conditions: Context | None) -> Context | None:
        return conditions and [Condition(own(c.features), tuple(own(r) for r in c.references)) for c in conditions]

    contexts = {k: context(getattr(part, k)) for k in ("student_context", "teacher_context")}
    more = tuple((own(noise), own(times)) for noise, times in part.more)
    plain = {k: own(getattr(part, k)) for k in ("latents", "noise", "times", "grid")}
    return replace(part, **plain, more=more, **contexts)


class Cuda:
    """How a GPU runs and records: on one stream, in one pool of memory, since one graph runs at a time."""

    def __init__(self, device: torch.device):
        self.stream, self.pool = torch.cuda.Stream(device), torch.cuda.graph_pool_handle()

    def run(self, run: Run, part: Batch) -> Tensor:
        """Run as written, on the stream that recording uses."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            loss = run(part)
        torch.cuda.current_stream().wait_stream(self.stream)
        return loss

    def record(self, run: Run, part: Batch) -> tuple[Callable[[], None], Tensor]:
        """-> (replay, where the loss stands after it). Recording computes nothing."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
            loss = run(part)
        return graph.replay, loss


class Recorded:
    """run(part) -> its loss, with gradients added to `.grad`, which must be there and stay where it is.

    The first batch of a shape runs as written (which compiles and warms up), the second is recorded, and from then on a
    batch is copied to where the recorded one stood. `run` may depend on nothing but the batch and on weights that stay in
    their memory; it must not wait for the GPU.
    """

    def __init__(self, run: Run, device: torch.device, machine: Cuda | None = None):
        self.run, self.device, self.machine = run, device, machine or Cuda(device)
        self.seen: set[tuple] = set()
        self.graphs: dict[tuple, tuple[Callable[[], None], Tensor, Batch]] = {}

    def __call__(self, part: Batch) -> Tensor:
        shape = tuple(t.shape for t in tensors(part))
        if shape not in self.graphs and (shape not in self.seen or len(self.graphs) >= MOST):
            self.seen.add(shape)
            return self.machine.run(self.run, copied(part, self.device))
        if shape not in self.graphs:
            static = copied(part, self.device)
            self.graphs[shape] = (*self.machine.record(self.run, static), static)
        replay, loss, static = self.graphs[shape]
        for mine, given in zip(tensors(static), tensors(part), strict=True):
            mine.copy_(given, non_blocking=True)
        replay()
        return loss.clone()
