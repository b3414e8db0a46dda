"""Supervised fine-tuning: flow matching on the data. Off-policy: it never sees a state that the model visits."""

from __future__ import annotations

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor

from dopsd.config.section import Count, Section
from dopsd.method import flow
from dopsd.objectives import Batch, Field, Needs

SAYS = "supervised fine-tuning (flow matching)"
LABEL = "SFT"


class Settings(Section):
    """states: noised states of a sample in a step, of which one is usual."""

    states: Count


def needs(settings: Settings) -> Needs:
    """Neither a teacher nor its eye."""
    return Needs(forwards=3 * settings.states, states=settings.states)


def loss(student: Field, teacher: Field, batch: Batch, settings: Settings) -> Iterator[Tensor]:
    """E ||v_theta(x_t, t, c_s) - (x_0 - e)||^2 at x_t = (1 - t) e + t x_0: the mean over the states, a loss each."""
    for noise, times in ((batch.noise, batch.times), *batch.more):
        v = student(flow.interpolate(batch.latents, noise, times), times, batch.student_context)
        yield F.mse_loss(v, flow.velocity_target(batch.latents, noise)) / settings.states
