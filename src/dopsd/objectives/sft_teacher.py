"""Supervised fine-tuning on the teacher's samples: the untouched model, having seen the picture, draws anew in every step,
and the student is tuned on what it drew as on data. The teacher's targets, off-policy."""

from __future__ import annotations

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor

from dopsd.config.section import Count, Section
from dopsd.method import flow
from dopsd.method.rollout import sample
from dopsd.objectives import Batch, Field, Needs

SAYS = "supervised fine-tuning on samples of the untouched model that has seen the picture"
LABEL = "SFT, teacher's samples"


class Settings(Section):
    """rollout_steps: K, in which the teacher draws."""

    rollout_steps: Count


def needs(settings: Settings) -> Needs:
    """A frozen teacher that has seen the picture, its K forwards, and noise that its sample did not start from."""
    k = settings.rollout_steps
    return Needs(forwards=k + 3, seen=True, teacher="frozen", rollout_steps=k, states=2)


def loss(student: Field, teacher: Field, batch: Batch, settings: Settings) -> Iterator[Tensor]:
    """||v_theta(x_t, t, c_s) - (x - e)||^2 at x_t = (1 - t) e + t x, one loss, where x is the teacher's sample from c_t."""
    seen = batch.teacher_context
    assert seen is not None  # as `needs` says
    drawn = sample(lambda x, t: teacher(x, t, seen), batch.noise, batch.grid)
    ((noise, times),) = batch.more
    v = student(flow.interpolate(drawn, noise, times), times, batch.student_context)
    yield F.mse_loss(v, flow.velocity_target(drawn, noise))
