"""The section `train`: the training that all methods share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from dopsd.config.section import Count, Positive, Section, Share


class Train(Section):
    """The training that all methods share."""

    steps: Count
    batch_size: Count
    accumulation: Count
    rollout_steps: Count
    loss: Literal["x0", "velocity"]
    teacher: Literal["ema", "frozen", "live"]
    ema: Share
    tune: Literal["lora", "full"]
    offload: bool
    lora_rank: Count
    lora_alpha: Positive
    lora_targets: tuple[str, ...]
    betas: tuple[Share, Share]
    weight_decay: Annotated[float, Field(ge=0)]
    clip: Positive
    gradient_checkpointing: bool
    cuda_graphs: bool
    checkpoints: tuple[Count, ...]
    save_every: Positive

    @model_validator(mode="after")
    def _fits(self) -> Train:
        if self.batch_size % self.accumulation:
            raise ValueError(f"batch_size {self.batch_size} cannot be split into accumulation {self.accumulation}")
        if list(self.checkpoints) != sorted(set(self.checkpoints)) or not self.checkpoints:
            raise ValueError("checkpoints must rise")
        if self.checkpoints[-1] != self.steps:
            raise ValueError(f"the last of checkpoints must be steps ({self.steps}), not {self.checkpoints[-1]}")
        return self
