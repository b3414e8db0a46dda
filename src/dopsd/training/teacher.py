"""Who the teacher is: the student's own weights averaged over time, as they were before training, or as they are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from dopsd.training.weights import Weights


class Teacher:
    """A second set of the tuned weights.

    kind "ema": with decay d, theta_bar <- d theta_bar + (1 - d) theta after every optimiser step, in float32; "frozen": stays
    at the start; "live": the student itself, no second set.
    """

    def __init__(self, weights: Weights, kind: str, decay: float):
        self.weights, self.kind = weights, kind
        self.parameters: list[Tensor] = [] if self.kind == "live" else weights.add_teacher()
        self._average = get_ema_multi_avg_fn(decay)

    @torch.no_grad()
    def update(self) -> None:
        """Follow the student by one step."""
        if self.kind == "ema":
            mine, theirs = self.parameters, [p.data for p in self.weights.parameters]
            self._average(mine, [p.to(m.device) for p, m in zip(theirs, mine, strict=True)], None)
            self.weights.refresh()

    def __call__(self, velocity: Callable[..., Tensor], *arguments: Any) -> Tensor:
        """The velocity under the teacher's weights, without a graph."""
        with torch.no_grad(), nullcontext() if self.kind == "live" else self.weights.teacher():
            return velocity(*arguments)
