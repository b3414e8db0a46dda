"""Supervised fine-tuning with an anchor: what is said of noised data stays near what the untouched model says of it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from dopsd.config.section import Positive, Section
from dopsd.method import flow
from dopsd.objectives import Batch, Field, Needs

SAYS = "supervised fine-tuning with a penalty to stay near the untouched model on the noised data"
LABEL = "Anchored SFT"


class Settings(Section):
    """weight: of the penalty, over that of the data."""

    weight: Positive


def needs(settings: Settings) -> Needs:
    """The weights of the start as a teacher, which sees the prompt alone."""
    return Needs(forwards=4, teacher="frozen")


def loss(student: Field, teacher: Field, batch: Batch, settings: Settings) -> Iterator[Tensor]:
    """One loss: ||v_theta - (x_0 - e)||^2 + weight ||v_theta - v_0||^2, all of (x_t, t, c_s), v_0 the untouched model's."""
    x, t, said = flow.interpolate(batch.latents, batch.noise, batch.times), batch.times, batch.student_context
    v = student(x, t, said)
    with torch.no_grad():
        anchor = teacher(x, t, said)
    yield F.mse_loss(v, flow.velocity_target(batch.latents, batch.noise)) + settings.weight * F.mse_loss(v, anchor)
