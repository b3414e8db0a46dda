"""Stages of the recipe: train one part of the miniature, or measure what there is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dopsd.config.params import load_recipe
from dopsd.mini.recipe import PARTS
from dopsd.stages._run import run
from dopsd.support import paths
from dopsd.support.errors import UserError


def main(part: Annotated[str, typer.Argument()], models: Path = Path("models"), work: Path = paths.WORK) -> None:
    """Train PART, a key of `recipe.PARTS` (reader, encoder, ..., turbo), by its section of miniature/params.yaml."""
    if part not in PARTS:
        raise UserError(f"unknown part {part!r}; known: {', '.join(PARTS)}")
    recipe = load_recipe()
    PARTS[part](getattr(recipe, part), recipe.seed, models, work)


if __name__ == "__main__":
    run(main)
