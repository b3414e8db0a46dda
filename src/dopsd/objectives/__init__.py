"""The methods, one small file each, with one signature.

    objective(student, teacher, batch, settings) -> iterator of losses

student, teacher: (x (n, C, h, w), t (n,), context) -> velocity (n, C, h, w); only the student's has a graph. Each loss that
is yielded must be run backward before the next one is asked for; their sum is the batch's loss. So a roll-out's graph of
one step is freed before the next is built, and memory does not grow with the number of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from dopsd.method.context import Context

Field = Callable[[Tensor, Tensor, Context], Tensor]


@dataclass(frozen=True)
class Batch:
    """n samples. latents x0 (n, C, h, w); noise (n, C, h, w); times (n,) for off-policy methods; contexts c_s = f_text(y)
    and c_t = f_mm(y, x0), the latter None where the method has no use for it; grid (K + 1,) of the roll-out."""

    latents: Tensor
    noise: Tensor
    times: Tensor
    student_context: Context
    teacher_context: Context | None
    grid: Tensor


@dataclass(frozen=True)
class Objective:
    """A method: its loss, and what it needs to be prepared."""

    loss: Callable[[Field, Field, Batch, object], Iterator[Tensor]]
    needs_teacher: bool


def get(name: str) -> Objective:
    """The objective of this name; ValueError names the known ones."""
    from dopsd.objectives import dopsd, sft

    known = {"sft": Objective(sft.loss, False), "dopsd": Objective(dopsd.loss, True)}
    if name not in known:
        raise ValueError(f"unknown method {name!r}; known: {', '.join(known)}")
    return known[name]
