"""What all stages share: the command line and the one-line error."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import typer

from dopsd.support.errors import UserError

Found = TypeVar("Found")


def section(found: Found | None, name: str) -> Found:
    """A section of params.yaml that a stage needs; UserError where the study has none."""
    if found is None:
        raise UserError(f"params.yaml: {name}: missing; write the section, or take the stage {name} out of dvc.yaml")
    return found


def run(main: Callable) -> None:
    """Run a stage's function as a command; a UserError is printed in one line and the exit status is 1."""
    try:
        typer.run(main)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
