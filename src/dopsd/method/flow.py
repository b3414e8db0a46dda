"""The one time convention: t = 0 is noise, t = 1 is data (sigma = 1 - t).

    x_t = (1 - t) e + t x_0,    v = dx/dt = x_0 - e        (arXiv 2605.05204)

Everything else in the project speaks of t and v in this sense; a backbone turns its network's own convention into it.
"""

from __future__ import annotations

import torch
from torch import Tensor


def expand(t: Tensor | float, like: Tensor) -> Tensor | float:
    """A time a sample (n,) made to broadcast over `like` (n, ...); numbers and scalars pass."""
    if isinstance(t, Tensor) and t.dim():
        return t.reshape(-1, *[1] * (like.dim() - 1))
    return t


def interpolate(x0: Tensor, noise: Tensor, t: Tensor | float) -> Tensor:
    """x_t = (1 - t) e + t x_0; x0, noise (n, ...), t in [0, 1], a scalar or (n,)."""
    t = expand(t, x0)
    return (1 - t) * noise + t * x0


def velocity_target(x0: Tensor, noise: Tensor) -> Tensor:
    """v = x_0 - e, what flow matching regresses on."""
    return x0 - noise


def x0_from_velocity(x_t: Tensor, v: Tensor, t: Tensor | float) -> Tensor:
    """The clean sample that v implies: x_0 = x_t + (1 - t) v."""
    return x_t + (1 - expand(t, x_t)) * v


def step_grid(scheduler, steps: int, mu: float | None = None) -> Tensor:
    """The times that a few-step sampler visits, from the scheduler's own sigmas: (steps + 1,), rising from 0 to 1.

    scheduler: a FlowMatchEulerDiscreteScheduler; its shift (or `mu`, where it shifts dynamically) bends the linear
    sigmas 1, 1 - 1/steps, ..., 1/steps as the pipeline does. Raises ValueError where steps < 1.
    """
    if steps < 1:
        raise ValueError(f"a roll-out needs at least one step, not {steps}")
    scheduler.set_timesteps(sigmas=torch.linspace(1, 1 / steps, steps).tolist(), mu=mu)
    return 1 - scheduler.sigmas.float()


def shifted(u: Tensor, shift: float) -> Tensor:
    """Uniform numbers in [0, 1) -> times t with the scheduler's shift s: sigma = s u' / (1 + (s - 1) u'), u' = 1 - u."""
    sigma = 1 - u
    return 1 - shift * sigma / (1 + (shift - 1) * sigma)
