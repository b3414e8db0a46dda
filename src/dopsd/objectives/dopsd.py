"""On-policy self-distillation (arXiv 2605.05204): on the states that the student visits, it follows the same model that
has seen the target picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from dopsd.config.section import Count, Section, Share
from dopsd.method import flow
from dopsd.method.rollout import rollout
from dopsd.objectives import Batch, Field, Needs

SAYS = "on-policy self-distillation (D-OPSD, arXiv 2605.05204)"
LABEL = "D-OPSD"


class Settings(Section):
    """loss: "velocity", the paper's, or "x0", the released code's. teacher: its weights (see `Needs`), with decay `ema`.
    rollout_steps: K."""

    loss: Literal["x0", "velocity"]
    teacher: Literal["ema", "frozen", "live"]
    ema: Share
    rollout_steps: Count


def needs(settings: Settings) -> Needs:
    """A teacher that has seen the picture, and a roll-out."""
    return Needs(True, settings.teacher, settings.ema, settings.rollout_steps)


def loss(student: Field, teacher: Field, batch: Batch, settings: Settings) -> Iterator[Tensor]:
    """K losses, one a visited state x_k: ||u_s - sg(u_t)||^2 / K with

        u_s = v_theta(x_k, t_k, c_s),    u_t = v_theta_bar(x_k, t_k, c_t).

    settings.loss: "velocity", the paper's; "x0", the released code's, on the clean latents that they imply, which
    weights a state by (1 - t_k)^2.
    """
    assert batch.teacher_context is not None  # as `needs` says
    steps = len(batch.grid) - 1
    for state in rollout(lambda x, t: student(x, t, batch.student_context), batch.noise, batch.grid):
        with torch.no_grad():
            u_t = teacher(state.x, state.t, batch.teacher_context)
        if settings.loss == "x0":
            x0_s, x0_t = (flow.x0_from_velocity(state.x, u, state.t) for u in (state.v, u_t))
            yield F.mse_loss(x0_s, x0_t) / steps
        else:
            yield F.mse_loss(state.v, u_t) / steps
