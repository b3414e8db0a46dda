"""Stage `draw`: the pictures of every cell, on prompts and noise that all methods share."""

from __future__ import annotations

from dopsd.config.params import load
from dopsd.stages._run import run
from dopsd.study.pipeline import Study


def main() -> None:
    """Write samples/cells/<method>/<concept>/<seed>/step-XXXX/<kind>-<nfe>.png."""
    Study(load()).draw()


if __name__ == "__main__":
    run(main)
