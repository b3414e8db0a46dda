"""Who the teacher is: the student's own weights averaged over time, as they were before training, or as they are."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from dopsd import lora


class Teacher:
    """A second adapter on the same transformer.

    kind "ema": theta_bar <- d theta_bar + (1 - d) theta after every optimiser step, in float32; "frozen": stays at the
    start; "live": the student itself, no second adapter.
    """

    def __init__(self, transformer: nn.Module, settings, seed: int):
        self.transformer = transformer
        self.kind = settings.teacher
        self.name = lora.STUDENT if self.kind == "live" else lora.TEACHER
        self.parameters: list[nn.Parameter] = []
        if self.kind != "live":
            self.parameters = lora.add(transformer, lora.TEACHER, settings, seed)
            for mine, theirs in zip(self.parameters, lora.parameters(transformer, lora.STUDENT), strict=True):
                mine.data.copy_(theirs.data)
            transformer.set_adapter(lora.STUDENT)
        self._average = get_ema_multi_avg_fn(settings.ema)

    @torch.no_grad()
    def update(self) -> None:
        """Follow the student by one step."""
        if self.kind == "ema":
            student = lora.parameters(self.transformer, lora.STUDENT)
            self._average([p.data for p in self.parameters], [p.data for p in student], None)

    def __call__(self, velocity, *arguments):
        """The velocity under the teacher's weights, without a graph."""
        with torch.no_grad(), lora.active(self.transformer, self.name):
            return velocity(*arguments)
