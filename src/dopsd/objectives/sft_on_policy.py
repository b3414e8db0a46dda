"""Supervised fine-tuning on the student's own states: where the roll-out leads, the data's picture is the target. D-OPSD's
states with SFT's targets: the fourth of states x targets, beside SFT, off-policy and D-OPSD."""

from __future__ import annotations

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor

from dopsd.config.section import Count, Section
from dopsd.method import flow
from dopsd.method.rollout import rollout
from dopsd.objectives import Batch, Field, Needs

SAYS = "supervised fine-tuning on the states that the student visits"
LABEL = "SFT, own states"


class Settings(Section):
    """rollout_steps: K."""

    rollout_steps: Count


def needs(settings: Settings) -> Needs:
    """A roll-out, with backward passes; no teacher."""
    return Needs(forwards=3 * settings.rollout_steps, rollout_steps=settings.rollout_steps)


def loss(student: Field, teacher: Field, batch: Batch, settings: Settings) -> Iterator[Tensor]:
    """K losses ||x_0(x_k, v_theta) - x_0||^2 / K, one a visited state: the clean latents that the student's velocity implies
    against the data's, as D-OPSD's "x0". Off the data's own paths no velocity is the data's, so the end is asked for."""
    steps = len(batch.grid) - 1
    for state in rollout(lambda x, t: student(x, t, batch.student_context), batch.noise, batch.grid):
        yield F.mse_loss(flow.x0_from_velocity(state.x, state.v, state.t), batch.latents) / steps
