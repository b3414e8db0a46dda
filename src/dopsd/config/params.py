"""The only reader of params.yaml and of the presets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import model_validator

from dopsd.config import preset
from dopsd.config.backbones import Backbone
from dopsd.config.preset import Preset
from dopsd.config.probe import PictureProbe
from dopsd.config.recipe import Recipe
from dopsd.config.section import File, Tree, read
from dopsd.config.study import Compared, Evaluate, Execute, Fetch, Grid, Miniature, Probe, Prompts, StepSize
from dopsd.config.train import Train
from dopsd.config.yaml import mapping
from dopsd.support.errors import UserError, nearest
from dopsd.support.text import read_text

FILE = Path("params.yaml")
RECIPE = Path("miniature/params.yaml")
SHARED = ("backbone", "train", "methods")  # sections of params.yaml and of a preset alike
Methods = dict[str, dict[str, Any]]  # each method reads its own settings (`objectives.method`)
Instruments = dict[str, dict[str, Any] | None]  # and each instrument (`instruments.Panel`); null leaves one out


class Params(File):
    """All of params.yaml."""

    execute: Execute
    backbone: Backbone
    fetch: Fetch
    grid: Grid
    train: Train
    methods: Methods
    step_size: StepSize
    prompts: Prompts
    instruments: Instruments
    evaluate: Evaluate
    compare: Compared
    probe: Probe | None = None  # of the world,
    picture_probe: PictureProbe | None = None  # or of pictures
    miniature: Miniature | None = None  # of the study that ships with it

    @property
    def searched(self) -> tuple[str, ...]:
        """The trained methods whose learning rate is searched."""
        return tuple(m for m in self.grid.trained if m not in {*self.step_size.given, *self.step_size.same})

    @model_validator(mode="after")
    def _fits(self) -> Params:
        if around := [m for m, of in self.step_size.same.items() if of in self.step_size.same]:
            raise ValueError(f"step_size.same: {around[0]!r} takes the rate of one that takes another's; name that one")
        rates = {*self.step_size.given, *self.searched}
        if lost := [(m, of) for m, of in self.step_size.same.items() if m in self.grid.trained and of not in rates]:
            raise ValueError(f"step_size.same: {lost[0][0]!r} takes the rate of {lost[0][1]!r}, which has none here")
        if self.searched and not (self.step_size.concepts and self.step_size.candidates):
            raise ValueError(
                f"step_size: no learning rate of {self.searched[0]!r}: give it (given: {{{self.searched[0]}: 1.0e-4}}), or "
                "name concepts and candidates to search on"
            )
        if both := [c for c in self.step_size.concepts if c in self.grid.concepts]:
            raise ValueError(
                f"step_size.concepts names {both[0]!r}, which is one of grid.concepts; choose the step size on others"
            )
        if self.probe and self.picture_probe:
            raise ValueError("probe is the world's and picture_probe a study's of pictures; leave one out")
        layer = getattr(self.backbone, "teacher_layer", None)
        if self.probe and layer is not None and layer not in self.probe.layers:
            raise ValueError(
                f"probe.layers {list(self.probe.layers)} lacks backbone.teacher_layer {layer}, the layer whose scores and "
                "pictures the report shows; add it"
            )
        if unset := [m for m in self.grid.trained if m not in self.methods]:
            raise ValueError(
                f"grid.trained names {unset[0]!r}, which has no entry in methods; write `{unset[0]}: {{}}` there"
            )
        methods = [*self.methods, *self.grid.references]
        for field, names in {
            "compare": self.compare.model_dump().values(),
            "step_size.given": self.step_size.given,
            "step_size.same": [*self.step_size.same, *self.step_size.same.values()],
        }.items():
            for name in (n for n in names if n not in methods):
                raise ValueError(f"{field} names {name!r}, which is no method here{nearest(name, methods)}")
        return self


class RecipeParams(File):
    """All of miniature/params.yaml."""

    recipe: Recipe


def _tree(file: Path) -> Tree:
    if not os.path.lexists(file):
        raise UserError(f"{file}: missing; run from the repository's root, where params.yaml is")
    return Tree.of(mapping(read_text(file), str(file)), str(file))


def load(file: Path = FILE) -> Params:
    """Read and validate params.yaml; UserError with file, field and remedy where it is missing or wrong.

    It says what differs from the preset that it extends, of the sections that both have (`SHARED`), or from another study,
    whose params.yaml it extends (`extends: ../full/params.yaml`).
    """
    return read(Params, _study(file, ()))


def _study(file: Path, seen: tuple[str, ...]) -> Tree:
    """What a study says, over the study or the preset that it extends. Paths are those of the folder that is worked in."""
    if str(file) in seen:
        raise UserError(f"{file}: extends itself ({' -> '.join((*seen, str(file)))}); name another")
    tree = _tree(file)
    parent = tree.values.get("extends")
    if not (isinstance(parent, str) and Path(parent).name == FILE.name):
        return preset.extended(tree, SHARED)
    if not os.path.lexists(parent):
        where = tree.where("extends")
        raise UserError(f"{where}: extends: {parent}: missing; name another study's params.yaml, or a preset")
    below = _study(Path(parent), (*seen, str(file)))
    return replace(tree, values={k: v for k, v in tree.values.items() if k != "extends"}).over(below)


def load_recipe(file: Path = RECIPE) -> Recipe:
    """Read and validate miniature/params.yaml, as `load` does."""
    return read(RecipeParams, _tree(file)).recipe


def load_preset(name: str, changes: Sequence[str] = (), options: Sequence[Tree] = ()) -> Preset:
    """A preset by name or file, with `SECTION.FIELD=VALUE` changes over what other options say, validated in one."""
    tree = preset.tree_of(name)
    for above in (*options, *map(preset.change, changes)):
        tree = above.over(tree)
    return read(Preset, tree)
