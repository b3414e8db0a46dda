"""A preset of `dopsd tune`: a model and how it is tuned on a person's own pictures.

A preset says what differs from the one that it starts from (`extends: zimage`); all start from `defaults`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, model_validator

from dopsd.config.backbone import Backbone
from dopsd.config.section import Count, Name, Positive, Section, parsed
from dopsd.config.study import Prompts
from dopsd.config.train import Train
from dopsd.support.errors import UserError


class Previews(Section):
    """Pictures that are drawn while a training runs, exactly as inference draws them."""

    every: Count
    prompts: Annotated[tuple[str, ...], Field(min_length=1)]
    seed: int


class Tune(Section):
    """What `dopsd tune` adds to a training."""

    method: Name
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
    methods: dict[str, dict[str, Any]]  # each method reads its own settings
    tune: Tune
    prompts: Prompts
    instruments: dict[str, dict[str, Any] | None]  # each instrument reads its own settings; null leaves one out

    @model_validator(mode="after")
    def _has_the_method(self) -> Preset:
        if self.tune.method not in self.methods:
            raise ValueError(
                f"tune.method {self.tune.method!r} has no entry in methods; known: {', '.join(self.methods)}"
            )
        return self


def names() -> list[str]:
    """The presets that come with the package."""
    files = (f.name for f in _folder().iterdir())
    return sorted(f.removesuffix(".yaml") for f in files if f.endswith(".yaml") and f != "defaults.yaml")


def _folder() -> Traversable:
    return resources.files("dopsd") / "presets"


def tree_of(preset: str, seen: tuple[str, ...] = ()) -> tuple[dict, str]:
    """The sections of a preset by its name, or of a file that ends in .yaml, over those of the preset that it extends; and
    where it comes from."""
    if preset in seen:
        raise UserError(f"preset {preset}: extends itself ({' -> '.join((*seen, preset))}); name another")
    if preset.endswith((".yaml", ".yml")):
        file = Path(preset)
        if not file.exists():
            raise UserError(f"{file}: missing; give a preset's file, or one of {', '.join(names())}")
        text, where = file.read_text(encoding="utf-8"), preset
    elif preset in ("defaults", *names()):
        text, where = (_folder() / f"{preset}.yaml").read_text(encoding="utf-8"), f"preset {preset}"
    else:
        raise UserError(f"no preset {preset!r}; known: {', '.join(names())}, or give a .yaml file")
    return extended(parsed(text, where), where, tuple(Preset.model_fields), (*seen, preset)), where


def extended(tree: dict, where: str, sections: Sequence[str], seen: tuple[str, ...] = ()) -> dict:
    """A file's tree over that of the preset that it extends, of which only some sections are taken."""
    parent = tree.get("extends")
    own = {k: v for k, v in tree.items() if k != "extends"}
    if parent is None:
        return own
    if not isinstance(parent, str):
        raise UserError(f"{where}: extends: {parent!r}; name one preset, one of {', '.join(names())}, or a .yaml file")
    below, _ = tree_of(parent, seen)
    return _over({k: v for k, v in below.items() if k in sections}, own)


def _over(below: dict, above: dict) -> dict:
    """Two trees in one: sections field by field, all else (null, too) as `above` says."""
    out = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = _over(out[key], value) if both else value
    return out


def with_changes(tree: dict, changes: list[str], where: str) -> dict:
    """Put `train.steps=100`-like changes into a preset's tree; values are read as YAML."""
    for change in changes:
        path, equals, value = change.partition("=")
        *parents, last = path.split(".")
        if not equals or not parents or parents[0] not in Preset.model_fields:
            raise UserError(
                f"--set {change!r}: no such field in {where}; write SECTION.FIELD=VALUE, e.g. train.steps=500"
            )
        section: dict = {last: yaml.safe_load(value)}
        for key in reversed(parents):
            section = {key: section}
        tree = _over(tree, section)
    return tree
