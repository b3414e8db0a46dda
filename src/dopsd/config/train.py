"""The section `train`: the training that all methods share. What a field means stands in presets/defaults.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from dopsd.config.section import Count, Positive, Said, Section, Share


class Train(Section):
    """The training that all methods share."""

    steps: Count
    batch_size: Count
    accumulation: Count
    tune: Literal["lora", "full"]
    offload: bool
    lora_rank: Annotated[int, Field(ge=1, le=4096)]
    lora_alpha: Positive
    lora_targets: tuple[Said, ...]
    betas: tuple[Share, Share]
    weight_decay: Annotated[float, Field(ge=0)]
    clip: Positive
    gradient_checkpointing: bool
    cuda_graphs: bool
    merged_teacher: bool
    checkpoints: tuple[Count, ...]
    save_every: Positive
    states: Count

    @property
    def kept(self) -> tuple[int, ...]:
        """The steps whose weights are kept, rising; the last step is one of them."""
        return (*(c for c in self.checkpoints if c < self.steps), self.steps)

    def result(self) -> dict:
        """All that the result depends on: a plain dict without what changes only how long it takes or how often it saves."""
        return self.model_dump(exclude={"cuda_graphs", "save_every", "states"})

    @model_validator(mode="after")
    def _fits(self) -> Train:
        if self.batch_size % self.accumulation:
            raise ValueError(f"batch_size {self.batch_size} cannot be split into accumulation {self.accumulation}")
        if self.merged_teacher and self.tune != "lora":
            raise ValueError(
                "merged_teacher is for tune lora; a fully tuned model's teacher has weights of its own anyway"
            )
        if list(self.checkpoints) != sorted(set(self.checkpoints)):
            raise ValueError("checkpoints must rise")
        return self
