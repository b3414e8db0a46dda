"""Supervised fine-tuning with output preservation: where the prompt says the class in the name's place, the untouched model's
outputs are kept (known to users of LoRA trainers as differential output preservation)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from dopsd.config.section import Positive, Section
from dopsd.method import flow
from dopsd.method.preparation import Preparation, Prepared, pick
from dopsd.objectives import Batch, Field, Needs

SAYS = "supervised fine-tuning that keeps the outputs of prompts which say the class in the name's place"
LABEL = "Output preservation"


class Settings(Section):
    """weight: of what is kept, over that of the data."""

    weight: Positive


def needs(settings: Settings) -> Needs:
    """The weights of the start as a teacher, and noise to choose a prompt by."""
    return Needs(forwards=7, teacher="frozen", states=2)


def preparation(settings: Settings) -> Preparation:
    """The captions with the class's name."""
    return Preparation(prompts=True)


def loss(student: Field, teacher: Field, batch: Batch, settings: Settings, given: Prepared) -> Iterator[Tensor]:
    """Two losses: ||v_theta(x_t, t, c_s) - (x_0 - e)||^2, then weight ||v_theta(x_t, t, c) - v_0(x_t, t, c)||^2, c of one of
    the set's captions, any of them, with the class's name in the place of "[V]"."""
    x, t = flow.interpolate(batch.latents, batch.noise, batch.times), batch.times
    yield F.mse_loss(student(x, t, batch.student_context), flow.velocity_target(batch.latents, batch.noise))
    ((chance, _),) = batch.more
    said = [given.prompts[k] for k in pick(chance, len(given.prompts)).tolist()]
    with torch.no_grad():
        kept = teacher(x, t, said)
    yield settings.weight * F.mse_loss(student(x, t, said), kept)
