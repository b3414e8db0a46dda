"""The few-step Euler roll-out. Sampling and training walk the same path through this generator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

Velocity = Callable[[Tensor, Tensor], Tensor]


class State(NamedTuple):
    """One visited state: x (n, ...) detached, its time t (n,), the velocity there (with its graph, if there is one), and
    `after` (n, ...), where one Euler step leads, detached."""

    x: Tensor
    t: Tensor
    v: Tensor
    after: Tensor


def rollout(velocity: Velocity, noise: Tensor, grid: Tensor) -> Iterator[State]:
    """Walk x_{k+1} = x_k + (t_{k+1} - t_k) v(x_k, t_k) over a grid of times and yield each of the K states.

    velocity: (x (n, ...), t (n,)) -> v like x. noise (n, ...): the state at grid[0]. grid (K + 1,), rising.
    No gradient crosses steps (arXiv 2605.05204): each state's graph can be used and freed before the next is built, so
    memory does not grow with K.
    """
    x, times = noise.detach(), grid.to(noise.device)
    for t, t_after in zip(times[:-1], times[1:], strict=True):
        now = t.expand(len(x))
        v = velocity(x, now)
        after = x + (t_after - t) * v.detach().to(x.dtype)
        yield State(x, now, v, after)
        x = after


@torch.no_grad()
def sample(velocity: Velocity, noise: Tensor, grid: Tensor) -> Tensor:
    """The end of the roll-out: noise (n, ...) -> x_0 (n, ...), in len(grid) - 1 evaluations of the velocity (NFE)."""
    x = noise
    for state in rollout(velocity, noise, grid):
        x = state.after
    return x
