"""What all stages share: the command line and the one-line error."""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer

from dopsd.support.errors import UserError


def run(main: Callable) -> None:
    """Run a stage's function as a command; a UserError is printed in one line and the exit status is 1."""
    try:
        typer.run(main)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
