"""DreamBooth (arXiv 2208.12242): supervised fine-tuning, and as much on pictures of the class that the untouched model drew,
so that the class stays what it was (prior preservation)."""

from __future__ import annotations

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor

from dopsd.config.section import Count, Positive, Section
from dopsd.method import flow
from dopsd.method.preparation import Preparation, Prepared, pick
from dopsd.objectives import Batch, Field, Needs

SAYS = "supervised fine-tuning with prior preservation (DreamBooth, arXiv 2208.12242)"
LABEL = "DreamBooth"


class Settings(Section):
    """weight: of the class's loss; pictures: of the class, drawn in `rollout_steps` steps."""

    weight: Positive
    pictures: Count
    rollout_steps: Count


def needs(settings: Settings) -> Needs:
    """Further noise and times, for the pictures of the class, and one to choose them by; twice SFT's forwards."""
    return Needs(forwards=6, states=3)


def preparation(settings: Settings) -> Preparation:
    """Pictures of the class."""
    return Preparation(pictures=settings.pictures, rollout_steps=settings.rollout_steps)


def loss(student: Field, teacher: Field, batch: Batch, settings: Settings, given: Prepared) -> Iterator[Tensor]:
    """Two losses: ||v_theta(x_t, t, c_s) - (x_0 - e)||^2 of the set, then as much, weighted, of the class: a picture of it
    for each sample, from "a <class>"."""
    assert given.pictures is not None and given.of is not None
    v = student(flow.interpolate(batch.latents, batch.noise, batch.times), batch.times, batch.student_context)
    yield F.mse_loss(v, flow.velocity_target(batch.latents, batch.noise))
    (noise, times), (chance, _) = batch.more
    prior = given.pictures[pick(chance, len(given.pictures))]
    v = student(flow.interpolate(prior, noise, times), times, [given.of] * len(prior))
    yield settings.weight * F.mse_loss(v, flow.velocity_target(prior, noise))
