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
    rollout_steps: K. shown: what the teacher sees: the training picture itself, or "another" one (a control: it must teach
    nothing)."""

    loss: Literal["x0", "velocity"]
    teacher: Literal["ema", "frozen", "live"]
    ema: Share
    rollout_steps: Count
    shown: Literal["itself", "another"]


def needs(settings: Settings) -> Needs:
    """A teacher that has seen the picture, and a roll-out: K forwards of the student, with backward passes, and of it."""
    k = settings.rollout_steps
    another = settings.shown == "another"
    return Needs(4 * k, True, another, settings.teacher, settings.ema, k)


def loss(student: Field, teacher: Field, batch: Batch, settings: Settings) -> Iterator[Tensor]:
    """K losses, one a visited state x_k: ||u_s - sg(u_t)||^2 / K with

        u_s = v_theta(x_k, t_k, c_s),    u_t = v_theta_bar(x_k, t_k, c_t).

    settings.loss: "velocity", the paper's; "x0", the released code's, on the clean latents that they imply, which
    weights a state by (1 - t_k)^2.
    """
    steps = len(batch.grid) - 1
    for state in rollout(lambda x, t: student(x, t, batch.student_context), batch.noise, batch.grid):
        yield distance(state.x, state.t, state.v, teacher, batch, settings.loss) / steps


def distance(x: Tensor, t: Tensor, u_s: Tensor, teacher: Field, batch: Batch, of: str) -> Tensor:
    """How far the student's velocity u_s at the states x (n, C, h, w), t (n,) is from the teacher's, as `Settings.loss`."""
    assert batch.teacher_context is not None  # as `needs` says
    with torch.no_grad():
        u_t = teacher(x, t, batch.teacher_context)
    if of == "velocity":
        return F.mse_loss(u_s, u_t)
    x0_s, x0_t = (flow.x0_from_velocity(x, u, t) for u in (u_s, u_t))
    return F.mse_loss(x0_s, x0_t)
