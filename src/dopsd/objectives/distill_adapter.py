"""Supervised fine-tuning over a de-distillation adapter: a LoRA that lets the few-step model forget its few steps is on it
while the new one trains, and is taken off to draw."""

from __future__ import annotations

from dopsd.config.section import Count, Positive, Section
from dopsd.method.preparation import Preparation
from dopsd.objectives import Needs, sft

SAYS = "supervised fine-tuning over a de-distillation adapter, which is taken off to draw"
LABEL = "De-distillation adapter"


class Settings(Section):
    """The adapter's: pictures that the few-step model draws in `rollout_steps` steps, and on which it is trained in `steps`
    steps of `rate`."""

    pictures: Count
    rollout_steps: Count
    steps: Count
    rate: Positive


def needs(settings: Settings) -> Needs:
    """As SFT."""
    return Needs(forwards=3)


def preparation(settings: Settings) -> Preparation:
    """The adapter."""
    s = settings
    return Preparation(
        pictures=s.pictures, rollout_steps=s.rollout_steps, adapter="undistilled", steps=s.steps, rate=s.rate
    )


def loss(student, teacher, batch, settings: Settings):
    """SFT's."""
    return sft.loss(student, teacher, batch, sft.Settings(states=1))
