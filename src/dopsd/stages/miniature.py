"""Stage `miniature`: how good the shipped miniature is, on held-out scenes, prompts and noise."""

from __future__ import annotations

from pathlib import Path

from dopsd import config, paths
from dopsd.files import write_json
from dopsd.mini.measure import measure
from dopsd.stages._run import run


def main() -> None:
    """Write reports/metrics/miniature.json."""
    write_json(measure(Path("models"), config.load().miniature), paths.METRICS / "miniature.json")


if __name__ == "__main__":
    run(main)
