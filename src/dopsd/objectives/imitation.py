"""Trajectory imitation: on the states that the student visits it follows the untouched few-step model, from the same prompt.
It teaches nothing new; on a model that has forgotten its few steps it brings them back (`repair_lora`)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from dopsd.config.section import Count, Section
from dopsd.method.preparation import Preparation, Prepared
from dopsd.method.rollout import rollout
from dopsd.objectives import Batch, Field, Needs

SAYS = "imitation of the untouched model on the states that the student visits"
LABEL = "Imitation"


class Settings(Section):
    """rollout_steps: K."""

    rollout_steps: Count


def needs(settings: Settings) -> Needs:
    """A roll-out, with backward passes, and the untouched model's forwards."""
    return Needs(forwards=4 * settings.rollout_steps, rollout_steps=settings.rollout_steps)


def preparation(settings: Settings) -> Preparation:
    """The untouched model beside the student."""
    return Preparation(untouched=True)


def loss(student: Field, teacher: Field, batch: Batch, settings: Settings, given: Prepared) -> Iterator[Tensor]:
    """K losses ||v_theta(x_k, t_k, c_s) - v_0(x_k, t_k, c_s)||^2 / K, one a visited state."""
    assert given.untouched is not None
    said, steps = batch.student_context, len(batch.grid) - 1
    for state in rollout(lambda x, t: student(x, t, said), batch.noise, batch.grid):
        with torch.no_grad():
            target = given.untouched(state.x, state.t, said)
        yield F.mse_loss(state.v, target) / steps
