"""A preset of `dopsd tune`: a model and how it is tuned on a person's own pictures.

A preset says what differs from the one that it starts from (`extends: zimage`); all start from `defaults`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from dopsd.config.backbones import Backbone
from dopsd.config.section import Count, File, Name, Positive, Said, Section, Seed, Side, Steps, Tree
from dopsd.config.study import Prompts
from dopsd.config.train import Train
from dopsd.config.yaml import SHOWN, mapping, value
from dopsd.support.errors import UserError, nearest
from dopsd.support.text import read_text


class Previews(Section):
    """Pictures that are drawn while a training runs, exactly as inference draws them."""

    every: Count
    prompts: Annotated[tuple[Said, ...], Field(min_length=1)]
    seed: Seed


class Tune(Section):
    """What `dopsd tune` adds to a training."""

    method: Name
    learning_rate: Positive
    seed: Seed
    size: Side
    nfe: Steps
    background: Said
    trigger: Said
    license: Said
    previews: Previews

    @field_validator("background")
    @classmethod
    def _is_a_colour(cls, text: str) -> str:
        from dopsd.support.opener import colour  # here: a command that opens no picture need not wait for numpy

        try:
            colour(text)
        except UserError as error:
            raise ValueError(str(error)) from None
        return text


class Preset(File):
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
                f"tune.method {self.tune.method!r} has no entry in methods{nearest(self.tune.method, self.methods)}"
            )
        return self


def names() -> list[str]:
    """The presets that come with the package."""
    files = (f.name for f in _folder().iterdir())
    return sorted(f.removesuffix(".yaml") for f in files if f.endswith(".yaml") and f != "defaults.yaml")


def _folder() -> Traversable:
    return resources.files("dopsd") / "presets"


def tree_of(preset: str, seen: tuple[str, ...] = (), asked: str = "") -> Tree:
    """What a preset says by its name, or a file that ends in .yaml, over the preset that it extends.

    seen: those that extend it, and asked: what stands before an error of its name."""
    if preset in seen:
        raise UserError(f"preset {preset}: extends itself ({' -> '.join((*seen, preset))}); name another")
    if preset.endswith((".yaml", ".yml")):
        if not os.path.lexists(preset):
            raise UserError(f"{asked}{preset}: missing; give a preset's file, or one of {', '.join(names())}")
        text, where = read_text(Path(preset)), preset
    elif preset in ("defaults", *names()):
        text, where = (_folder() / f"{preset}.yaml").read_text(encoding="utf-8"), f"preset {preset}"
    else:
        raise UserError(f"{asked}no preset {preset!r}{nearest(preset, names())} (or give a .yaml file)")
    return extended(Tree.of(mapping(text, where), where), tuple(Preset.model_fields), (*seen, preset))


def extended(tree: Tree, sections: tuple[str, ...], seen: tuple[str, ...] = ()) -> Tree:
    """A file over the preset that it extends, of which only some sections are taken."""
    own = replace(tree, values={k: v for k, v in tree.values.items() if k != "extends"})
    if (parent := tree.values.get("extends")) is None:
        return own
    where = tree.where("extends")
    if not isinstance(parent, str):
        raise UserError(f"{where}: extends: {parent!r}; name one preset, one of {', '.join(names())}, or a .yaml file")
    return own.over(tree_of(parent, seen, f"{where}: extends: ").only(sections))


def change(text: str) -> Tree:
    """What `--set train.steps=100` says; the value is read as YAML. UserError where it is no such change."""
    where = f"--set {text}" if len(text) <= SHOWN else f"--set {text[:SHOWN]}..."
    path, equals, said = text.partition("=")
    *parents, last = path.split(".")
    sections = tuple(Preset.model_fields)
    if not equals or not parents or not all((*parents, last)):
        raise UserError(f"{where}: no field; write SECTION.FIELD=VALUE, e.g. train.steps=500")
    if parents[0] not in sections:
        raise UserError(f"{where}: no section {parents[0]!r}{nearest(parents[0], sections)}")
    return option(path, value(said, where), where)


def option(path: str, said: object, where: str) -> Tree:
    """One field, by its dotted name, as an option of the command line says it."""
    for key in reversed(path.split(".")):
        said = {key: said}
    assert isinstance(said, dict)
    return Tree.of(said, where)
