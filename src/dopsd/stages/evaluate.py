"""Stage `evaluate`: score every cell along its training, from kept pictures."""

from __future__ import annotations

from dopsd.config.params import load
from dopsd.stages._run import run
from dopsd.study.pipeline import Study


def main() -> None:
    """Write reports/metrics/cells/<method>/<concept>.json, an entry a seed."""
    Study(load()).evaluate()


if __name__ == "__main__":
    run(main)
