"""A LoRA that is trained on the undistilled base and put on the few-step model: the paper's "SFT + LoRA on distilled"."""

from __future__ import annotations

from dopsd.method.preparation import Preparation
from dopsd.objectives import sft

SAYS = "supervised fine-tuning of the undistilled base, the LoRA put on the few-step model"
LABEL = "Base LoRA"
Settings = sft.Settings
needs = sft.needs
loss = sft.loss


def preparation(settings: sft.Settings) -> Preparation:
    """The base in the few-step model's place."""
    return Preparation(base=True)
