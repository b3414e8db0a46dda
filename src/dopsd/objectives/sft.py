"""Supervised fine-tuning: flow matching on the data. Off-policy: it never sees a state that the model visits."""

from __future__ import annotations

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor

from dopsd.config.section import Section
from dopsd.method import flow
from dopsd.objectives import Batch, Field, Needs

SAYS = "supervised fine-tuning (flow matching)"
LABEL = "SFT"


class Settings(Section):
    """It has none of its own."""


def needs(settings: Settings) -> Needs:
    """Neither a teacher nor its eye."""
    return Needs()


def loss(student: Field, teacher: Field, batch: Batch, settings: Settings) -> Iterator[Tensor]:
    """E ||v_theta(x_t, t, c_s) - (x_0 - e)||^2 at x_t = (1 - t) e + t x_0, one loss."""
    x_t = flow.interpolate(batch.latents, batch.noise, batch.times)
    v = student(x_t, batch.times, batch.student_context)
    yield F.mse_loss(v, flow.velocity_target(batch.latents, batch.noise))
