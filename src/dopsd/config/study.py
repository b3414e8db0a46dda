"""The sections of params.yaml that say what a study runs over, how much it draws, and who runs it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from dopsd.config.section import Count, Layer, Name, Positive, Said, Section, Seed, Share, Sheet, Side, Source, Steps


def _with_controls(contexts: tuple[str, ...]) -> tuple[str, ...]:
    if lacking := {"text", "image_text", "wrong_image_text"} - set(contexts):
        raise ValueError(f"lacks {sorted(lacking)[0]}: image_text is held against text and wrong_image_text; add it")
    if len(set(contexts)) != len(contexts):
        raise ValueError("names one twice; keep one")
    return contexts


Contexts = Annotated[
    tuple[Literal["text", "image_text", "wrong_image_text", "image"], ...], AfterValidator(_with_controls)
]  # what the encoder is given


class Execute(Section):
    """Who runs the cells. Nothing of it changes a result, so nothing of it makes a cell run again."""

    jobs: Count | None = None  # cells at a time; null: as many as cores, or jobs_per_gpu on each GPU
    jobs_per_gpu: Count = 1  # 1 for real models, about 14 for the miniature
    cluster: Literal["none", "slurm", "local"] = "none"  # by submitit: slurm, or its stand-in on this machine
    cores: Count = 8  # of a cluster's job
    gpus: int = Field(default=1, ge=0)  # of a cluster's job
    minutes: Count = 240  # of a cluster's job
    slurm: dict[str, str | int] = Field(default={})  # more of submitit's settings: slurm_partition, slurm_account, ...


class Folder(Section):
    """A concept from a person's own pictures: a folder in any of the forms that `sets.folder` reads."""

    images: Said
    name: Said  # what "[V]" is: my corgi
    kind: Literal["object", "style"] = "object"


class FromHub(Section):
    """A concept from a set of the hub that sets/hub.yaml knows."""

    set: Said
    subject: str | None = None
    pictures: Count | None = None  # the first so many; null: all
    kind: Literal["object", "style"] = "object"


class Fetch(Section):
    """The concept sets. A concept that neither `folders` nor `hub` names is the miniature's world's."""

    images: Count = 4  # pictures of a concept of the world
    seed: Seed = 0
    size: Side = 64  # pixels a side of a square picture; other shapes have the same area
    folders: dict[Name, Folder] = Field(default={})
    hub: dict[Name, FromHub] = Field(default={})

    def kind(self, concept: str) -> str | None:
        """ "object" or "style" as these settings say; None for a concept of the world."""
        found = self.folders.get(concept) or self.hub.get(concept)
        return found.kind if found else None


class Prompts(Section):
    """What is asked of all methods. source: who makes the prompts of a concept: its world; a VLM that sees the pictures
    (`writer`); their own captions and the prompts that are `given`; or a person, in a folder's files (rows as JSON lines)."""

    source: Literal["world", "vlm", "captions", "files"]
    new: Count  # prompts for new pictures: of a concept of the world, or of each training picture
    noises: Count = 1  # that each is drawn from
    said: Share = 1.0  # of the world's: chance that a prompt says an attribute of the scene,
    also_said: tuple[Share, ...] = ()  # and others, asked at the last step of a training, of the same scenes and noise
    ordinary: Annotated[int, Field(ge=8)]  # prompts without "[V]": of the world's, for each concept and seed its own
    ordinary_list: str = "everyday"  # of pictures: everyday, world or a .txt file, a prompt a line
    writer: Source | None = None
    given: tuple[Said, ...] = ()
    folder: Said | None = None
    seed: Seed = 0  # of pictures: what the noise starts from

    @model_validator(mode="after")
    def _has_its_source(self) -> Prompts:
        if self.source == "vlm" and self.writer is None:
            raise ValueError("source vlm needs a writer: {model: ..., revision: ...}")
        if self.source == "files" and self.folder is None:
            raise ValueError("source files needs a folder that holds CONCEPT.jsonl and ordinary.jsonl")
        if self.also_said and self.source != "world":
            raise ValueError("also_said is of prompts that the world makes: source world")
        if self.said in self.also_said or len(set(self.also_said)) != len(self.also_said):
            raise ValueError("also_said names a chance twice, or that of said; keep one")
        return self


class Grid(Section):
    """What the comparison runs over.

    references: rows without training, on the same prompts. untouched: the few-step model as it is; described: the same,
    the concept spelled out; teacher: the same, having seen a training picture; base: the undistilled model; again: the
    untouched one from other noise. turbos: for each seed the few-step model whose transformer its trainings tune; none:
    backbone.model's own.
    """

    references: tuple[Literal["untouched", "described", "teacher", "base", "again"], ...]
    trained: tuple[Name, ...]
    concepts: Annotated[tuple[Name, ...], Field(min_length=1)]
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)]
    turbos: tuple[Said, ...] = ()

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
        if self.turbos and len(self.turbos) != len(self.seeds):
            raise ValueError("turbos names a few-step model for each of seeds, as many as these; or leave it out")
        return self


class StepSize(Section):
    """Each method's learning rate: `given`, the same as another's, or searched among `candidates` on concepts that the
    comparison does not use."""

    given: dict[Name, Positive] = Field(default={})
    same: dict[Name, Name] = Field(default={})  # a control and the method whose rate it takes
    concepts: tuple[Name, ...] = ()
    seed: Seed = 0
    candidates: tuple[Positive, ...] = ()
    fidelity: str = "concept_fidelity"  # the score of new pictures that a rate is chosen by,
    retention: str = "adherence"  # and the one of ordinary prompts, over the untouched model's


class Evaluate(Section):
    """In how many steps, and how many pictures at a time."""

    nfe: Annotated[tuple[Steps, ...], Field(min_length=1)]
    nfe_sweep: tuple[Steps, ...] = ()
    many_at: tuple[Count, ...] | None = None  # checkpoints at which many steps are drawn, beside the last; null: all
    guidance: Annotated[float, Field(ge=0)] = 0.0  # of the many steps: v + g (v - v_empty); few steps have none
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


class Compared(Section):
    """Which method is asked about, and which one it is held against, in tables and sentences."""

    method: Name
    baseline: Name


class Probe(Section):
    """The in-context probe."""

    also: tuple[Said, ...]
    contexts: Contexts
    nfe: Annotated[tuple[Steps, ...], Field(min_length=1)]
    layers: Annotated[tuple[Layer, ...], Field(min_length=1)]  # backbone.teacher_layer among them
    images: Sheet
    table_images: Sheet
    seed: Seed


class Miniature(Section):
    """How the miniature is measured."""

    vlms: Annotated[tuple[Name, ...], Field(min_length=1)]  # the first is the shipped one, the others variants of it
    renders: Annotated[int, Field(ge=100)]  # held-out: of the instruments, of naming, and what sets are held against
    prompts: Annotated[int, Field(ge=4)]  # of the generators, for each openness
    guided: Annotated[int, Field(ge=4)]  # of these the base draws so many in many guided steps
    guidance: Annotated[float, Field(ge=0)]
    diversity_prompts: Annotated[int, Field(ge=2)]
    noises: Annotated[int, Field(ge=2)]  # of each prompt of the diversity
    known: Count  # pictures of each kind of known name
    free: Count  # of each kind of free name
    eye: Annotated[int, Field(ge=10)]  # pictures that are seen and drawn: two a style, each the other's wrong one
    combinations: Count  # of each combination that pretraining left out
    pairs: Count  # minimal pairs of each attribute
    degraded: Annotated[int, Field(ge=2)]  # renders of the table of degradations
