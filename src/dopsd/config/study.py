"""The sections of params.yaml that say what a study runs over, how much it draws, and who runs it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from dopsd.config.section import Count, Layer, Name, Positive, Section, Sheet


class Execute(Section):
    """Who runs the cells. Nothing of it changes a result, so nothing of it makes a cell run again."""

    jobs: Count | None = None  # cells at a time; null: as many as cores, or jobs_per_gpu on each GPU
    jobs_per_gpu: Count = 1  # 1 for real models, about 14 for the miniature
    cluster: Literal["none", "slurm", "local"] = "none"  # by submitit: slurm, or its stand-in on this machine
    cores: Count = 8  # of a cluster's job
    gpus: int = Field(default=1, ge=0)  # of a cluster's job
    minutes: Count = 240  # of a cluster's job
    slurm: dict[str, str | int] = Field(default={})  # more of submitit's settings: slurm_partition, slurm_account, ...


class Fetch(Section):
    """The concept sets."""

    images: Count
    seed: int


class Grid(Section):
    """What the comparison runs over."""

    references: tuple[Literal["untouched", "described"], ...]
    trained: tuple[Name, ...]
    concepts: Annotated[tuple[Name, ...], Field(min_length=1)]
    seeds: Annotated[tuple[int, ...], Field(min_length=1)]

    @property
    def methods(self) -> tuple[str, ...]:
        """All rows of the comparison, in order."""
        return (*self.references, *self.trained)

    @model_validator(mode="after")
    def _names_each_once(self) -> Grid:
        for key in ("methods", "concepts", "seeds"):
            values = getattr(self, key)
            if len(set(values)) != len(values):
                raise ValueError(f"{key} must name each value once")
        if "untouched" not in self.references:
            raise ValueError("references must hold untouched: every score of what is kept is held against it")
        return self


class StepSize(Section):
    """The rule that chooses a learning rate."""

    concept: Name
    seed: int
    candidates: Annotated[tuple[Positive, ...], Field(min_length=1)]


class Evaluate(Section):
    """How much is drawn and in how many steps."""

    scenes: Count
    noises: Annotated[int, Field(ge=2)]
    ordinary: Annotated[int, Field(ge=8)]
    nfe: Annotated[tuple[Count, ...], Field(min_length=2)]
    nfe_sweep: tuple[Count, ...]
    renders: Annotated[int, Field(ge=8)]
    batch_size: Count

    @property
    def few(self) -> int:
        """The steps that the model was distilled to draw in."""
        return min(self.nfe)

    @property
    def many(self) -> int:
        return max(self.nfe)

    @property
    def in_few_steps(self) -> Evaluate:
        """The same, all drawn in the few steps."""
        return self.model_copy(update={"nfe": (self.few,), "nfe_sweep": ()})


class Probe(Section):
    """The in-context probe."""

    also: tuple[str, ...]
    contexts: tuple[Literal["text", "image_text", "wrong_image_text", "image"], ...]
    nfe: Annotated[tuple[Count, ...], Field(min_length=1)]
    layers: Annotated[tuple[Layer, ...], Field(min_length=1)]  # backbone.teacher_layer among them
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
