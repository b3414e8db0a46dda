"""A repair LoRA after supervised fine-tuning: made once on the untouched few-step model, which was made to forget its few
steps and learnt them again, it joins the LoRA of any fine-tuning."""

from __future__ import annotations

from dopsd.method.preparation import Preparation
from dopsd.objectives import distill_adapter

SAYS = "supervised fine-tuning, then a LoRA that repairs few steps, made once on the untouched model"
LABEL = "Repair LoRA"
Settings = distill_adapter.Settings
needs = distill_adapter.needs
loss = distill_adapter.loss


def preparation(settings: distill_adapter.Settings) -> Preparation:
    """The LoRA: on top of a de-distillation adapter it follows the untouched model's few steps (`imitation`)."""
    s = settings
    return Preparation(pictures=s.pictures, rollout_steps=s.rollout_steps, adapter="repair", steps=s.steps, rate=s.rate)
