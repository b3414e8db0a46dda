"""A stage of a study of its own kind, whose stages are parts of one module: `python src/stage.py <kind> <part>`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import typer

from dopsd.config.params import Params, load
from dopsd.support.errors import UserError, nearest


def command(parts: Mapping[str, Callable[[Params], object]]) -> Callable[[str], None]:
    """The function that a stage runs as a command: brings the outputs of one part up to date; UserError where there is no
    part of that name."""
    named = typer.Argument(help=f"one of {', '.join(parts)}")

    def main(part: str = named) -> None:
        """Bring the outputs of one stage up to date."""
        if part not in parts:
            raise UserError(f"unknown stage {part!r}{nearest(part, parts)}")
        parts[part](load())

    return main
