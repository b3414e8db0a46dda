"""What all stages share: the command line, the lock, the one-line error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import typer

from dopsd.support.alone import alone, follow_dvc
from dopsd.support.errors import UserError, reported

Found = TypeVar("Found")


def section(found: Found | None, name: str) -> Found:
    """A section of params.yaml that a stage needs; UserError where the study has none."""
    if found is None:
        raise UserError(f"params.yaml: {name}: missing; write the section, or take the stage {name} out of dvc.yaml")
    return found


def run(main: Callable) -> None:
    """Run a stage's function as a command, alone in the study's folder. What a person can mend is one line and an exit
    status; a stage ends with the `dvc` that started it, however that ends."""
    with reported():
        follow_dvc()
        with alone(Path.cwd(), "a stage of the study"):
            typer.run(main)
