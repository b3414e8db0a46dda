"""A preset of `dopsd tune`: a model and how it is tuned on a person's own pictures."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field

from dopsd.config.backbone import Backbone
from dopsd.config.measure import Measure
from dopsd.config.section import Count, Positive, Section
from dopsd.config.train import Train
from dopsd.support.errors import UserError


class Previews(Section):
    """Pictures that are drawn while a training runs, exactly as inference draws them."""

    every: Count
    prompts: Annotated[tuple[str, ...], Field(min_length=1)]
    seed: int


class Tune(Section):
    """What `dopsd tune` adds to a training."""

    method: Literal["dopsd", "sft"]
    learning_rate: Positive
    seed: int
    size: Count
    nfe: Count
    license: str
    previews: Previews


class Preset(Section):
    """All of a preset's file."""

    backbone: Backbone
    train: Train
    tune: Tune
    measure: Measure


def names() -> list[str]:
    """The presets that come with the package."""
    return sorted(f.name.removesuffix(".yaml") for f in _folder().iterdir() if f.name.endswith(".yaml"))


def _folder():
    return resources.files("dopsd") / "presets"


def text_of(preset: str) -> tuple[str, str]:
    """The YAML of a preset by its name, or of a file that ends in .yaml, and where it comes from."""
    if preset.endswith((".yaml", ".yml")):
        file = Path(preset)
        if not file.exists():
            raise UserError(f"{file}: missing; give a preset's file, or one of {', '.join(names())}")
        return file.read_text(encoding="utf-8"), preset
    if preset not in names():
        raise UserError(f"no preset {preset!r}; known: {', '.join(names())}, or give a .yaml file")
    return (_folder() / f"{preset}.yaml").read_text(encoding="utf-8"), f"preset {preset}"


def with_changes(tree: dict, changes: list[str], where: str) -> dict:
    """Put `train.steps=100`-like changes into a preset's tree; values are read as YAML."""
    for change in changes:
        path, equals, value = change.partition("=")
        *parents, last = path.split(".")
        section = tree
        for key in parents:
            section = section.get(key) if isinstance(section, dict) else None
        if not equals or not isinstance(section, dict) or last not in section:
            raise UserError(
                f"--set {change!r}: no such field in {where}; write SECTION.FIELD=VALUE, e.g. train.steps=500"
            )
        section[last] = yaml.safe_load(value)
    return tree
