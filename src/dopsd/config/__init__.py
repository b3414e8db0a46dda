"""The only reader of params.yaml: every knob as a validated, frozen object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import yaml
from pydantic import Field, ValidationError, model_validator

from dopsd.config import preset
from dopsd.config.backbone import Backbone
from dopsd.config.preset import Preset
from dopsd.config.recipe import Recipe
from dopsd.config.section import Count, Layer, Name, Positive, Section, Sheet
from dopsd.config.train import Train
from dopsd.support.errors import UserError

FILE = Path("params.yaml")
Loaded = TypeVar("Loaded", bound=Section)


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
    def _the_teacher_has_a_vlm(self) -> Params:
        if self.backbone.name != "zimage":
            raise ValueError(
                f"backbone.name {self.backbone.name!r}: the probe and the comparison are about a teacher that sees through a "
                "VLM (name: zimage); tune this model with `dopsd tune --backbone klein-4b`"
            )
        return self

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
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{file}: missing; run from the repository's root, where params.yaml is") from None
    return _validated(Params, text, str(file))


def load_preset(name: str, changes: Sequence[str] = ()) -> Preset:
    """A preset by name or file, with `SECTION.FIELD=VALUE` changes, validated as params.yaml is."""
    text, where = preset.text_of(name)
    return _validated(Preset, text, where, lambda tree: preset.with_changes(tree, list(changes), where))


def _validated(kind: type[Loaded], text: str, file: str, change: Callable[[dict], dict] = lambda tree: tree) -> Loaded:
    try:
        return kind.model_validate(change(yaml.safe_load(text)))
    except yaml.YAMLError as error:
        raise UserError(f"{file}: not YAML ({' '.join(str(error).split())}); mend that line") from None
    except ValidationError as error:
        first = error.errors()[0]
        kinds = ("zimage", "klein")  # pydantic names the kind of backbone between its section and the field
        field = ".".join(str(part) for part in first["loc"] if part not in kinds) or "the file"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        given = f", not {first['input']!r}" if isinstance(first.get("input"), (str, int, float, bool)) else ""
        raise UserError(f"{file}: {field}: {first['msg']}{given}{more}; mend it and run again") from None
