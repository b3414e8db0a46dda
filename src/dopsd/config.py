"""The only reader of params.yaml: every knob as a validated, frozen object."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dopsd.errors import UserError

FILE = Path("params.yaml")
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Layer = Annotated[int, Field(le=-1)]
Sheet = Annotated[int, Field(ge=24)]  # fewer targets may not show every attribute
Name = Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9_-]+$")]


class Section(BaseModel):
    """A part of params.yaml: unknown keys are errors, values cannot be changed later."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Backbone(Section):
    """The model, where it comes from and how it runs."""

    name: Literal["zimage"]
    model: str
    revision: str | None
    vlm: str
    vlm_revision: str | None
    device: Literal["auto", "cpu", "cuda"]
    dtype: Literal["float32", "bfloat16"]
    teacher_layer: Layer
    student_tokens: Count
    teacher_tokens: Count
    min_pixels: Count
    max_pixels: Count


class Fetch(Section):
    """The concept sets."""

    images: Count
    seed: int


class Grid(Section):
    """What the comparison runs over."""

    untouched: tuple[Literal["base", "described"], ...]
    trained: tuple[Name, ...]
    concepts: tuple[Name, ...]
    seeds: tuple[int, ...]

    @property
    def methods(self) -> tuple[str, ...]:
        """All rows of the comparison, in order."""
        return (*self.untouched, *self.trained)

    @model_validator(mode="after")
    def _names_each_once(self) -> Grid:
        for key in ("methods", "concepts", "seeds"):
            values = getattr(self, key)
            if not values or len(set(values)) != len(values):
                raise ValueError(f"{key} must name at least one value, each once")
        return self


class Train(Section):
    """The training that all methods share."""

    steps: Count
    batch_size: Count
    accumulation: Count
    rollout_steps: Count
    loss: Literal["x0", "velocity"]
    teacher: Literal["ema", "frozen", "live"]
    ema: Share
    lora_rank: Count
    lora_alpha: Positive
    lora_targets: tuple[str, ...]
    betas: tuple[Share, Share]
    weight_decay: Annotated[float, Field(ge=0)]
    clip: Positive
    gradient_checkpointing: bool
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


class StepSize(Section):
    """The rule that chooses a learning rate."""

    concept: Name
    seed: int
    candidates: tuple[Positive, ...]


class Evaluate(Section):
    """How much is drawn and in how many steps."""

    scenes: Count
    noises: Annotated[int, Field(ge=2)]
    ordinary: Annotated[int, Field(ge=8)]
    nfe: Annotated[tuple[Count, ...], Field(min_length=2)]
    nfe_sweep: tuple[Count, ...]
    renders: Annotated[int, Field(ge=8)]
    batch_size: Count


class Probe(Section):
    """The in-context probe."""

    also: tuple[str, ...]
    contexts: tuple[Literal["text", "image_text", "wrong_image_text", "image"], ...]
    nfe: Annotated[tuple[Count, ...], Field(min_length=1)]
    layers: tuple[Layer, ...]
    images: Sheet
    table_images: Sheet
    seed: int


class Miniature(Section):
    """How the miniature is measured."""

    vlms: Annotated[tuple[Name, ...], Field(min_length=1)]
    images: Count
    prompts: Annotated[int, Field(ge=2)]
    noises: Annotated[int, Field(ge=2)]
    guidance: Annotated[float, Field(ge=0)]


class Part(Section):
    """A part of the recipe."""

    steps: Count
    minutes: Positive | None
    batch_size: Count
    learning_rate: Positive


class Pooled(Part):
    """A part that draws its scenes once."""

    scenes: Count


class Align(Pooled):
    """The alignment of the vision tower; `folder` names the variant."""

    word_weight: Annotated[float, Field(ge=0)]
    folder: Name


class Base(Pooled):
    """The many-step generator."""

    ema: Share
    captions: Count
    caption_dropout: Share
    high_noise_share: Share
    high_noise_sigma: Share
    compiled: Literal["auto", True, False]


class Turbo(Pooled):
    """The step distillation."""

    fake_learning_rate: Positive
    fake_updates: Count
    guidance: Annotated[float, Field(ge=0)]
    rollout_steps: Count
    ema: Share
    captions: Count
    compiled: Literal["auto", True, False]


class Recipe(Section):
    """How the miniature was made."""

    seed: int
    reader: Part
    clip: Pooled
    encoder: Pooled
    vision: Pooled
    align: Align
    align_plain: Align
    autoencoder: Part
    base: Base
    turbo: Turbo


class Params(Section):
    """All of params.yaml."""

    backbone: Backbone
    fetch: Fetch
    grid: Grid
    train: Train
    step_size: StepSize
    evaluate: Evaluate
    probe: Probe
    miniature: Miniature
    recipe: Recipe

    @model_validator(mode="after")
    def _step_size_is_chosen_elsewhere(self) -> Params:
        if self.step_size.concept in self.grid.concepts:
            raise ValueError(
                f"step_size.concept {self.step_size.concept!r} is one of grid.concepts; choose the step size on another"
            )
        return self


def load(file: Path = FILE) -> Params:
    """Read and validate params.yaml; UserError with file, field and remedy where it is missing or wrong."""
    try:
        return Params.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(f"{file}: missing; run from the repository's root, where params.yaml is") from None
    except yaml.YAMLError as error:
        raise UserError(f"{file}: not YAML ({' '.join(str(error).split())}); mend that line") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        given = f", not {first['input']!r}" if isinstance(first.get("input"), (str, int, float, bool)) else ""
        raise UserError(f"{file}: {field}: {first['msg']}{given}{more}; mend it and run again") from None
