"""Pairwise Sample Optimization (arXiv 2410.03190), as its code has it for personalisation: pictures of the set are preferred
to pictures of the class that the untouched model drew, at the times of its few steps."""

from __future__ import annotations

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor

from dopsd.config.section import Count, Positive, Section
from dopsd.method import flow
from dopsd.method.preparation import Preparation, Prepared, pick
from dopsd.objectives import Batch, Field, Needs

SAYS = "pairwise sample optimization (PSO, arXiv 2410.03190), offline"
LABEL = "PSO"


class Settings(Section):
    """sharpness, share, kept: 5, .1 and .5 in `loss`; pictures: negatives, drawn in `rollout_steps` steps, whose times are
    the only ones that are trained."""

    sharpness: Positive
    share: Positive
    kept: Positive
    pictures: Count
    rollout_steps: Count


def needs(settings: Settings) -> Needs:
    """The roll-out's times, noise to choose by, and the forwards of two pictures."""
    return Needs(forwards=6, rollout_steps=settings.rollout_steps, states=2)


def preparation(settings: Settings) -> Preparation:
    """Pictures of the class."""
    return Preparation(pictures=settings.pictures, rollout_steps=settings.rollout_steps)


def loss(student: Field, teacher: Field, batch: Batch, settings: Settings, given: Prepared) -> Iterator[Tensor]:
    """One loss, the mean over samples of relu(1 - 5 (.1 L_neg - L_pos)) + .5 L_neg, where L is the flow-matching loss of a
    picture: of the set, and of the class, both from the set's prompt, with one noise and one time of the roll-out."""
    assert given.pictures is not None
    ((chance, _),) = batch.more
    negative = given.pictures[pick(chance, len(given.pictures))]
    grid = batch.grid[:-1].to(batch.noise.device)
    times = grid[pick(chance, len(grid), place=1)]

    def of(x0: Tensor) -> Tensor:
        v = student(flow.interpolate(x0, batch.noise, times), times, batch.student_context)
        return F.mse_loss(v, flow.velocity_target(x0, batch.noise), reduction="none").flatten(1).mean(1)

    positive, negative = of(batch.latents), of(negative)
    preferred = F.relu(1 - settings.sharpness * (settings.share * negative - positive))
    yield (preferred + settings.kept * negative).mean()
