"""`dvc repro` with the independent stages side by side: `python -m dopsd.repro --jobs 2`.

DVC runs one stage at a time; small models leave cores idle that way. This starts several `dvc repro` on disjoint targets,
each with its share of the cores, then one over everything, which finds them done. Plain `dvc repro` gives the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Annotated

import typer

WAVES = (
    ("fetch",),
    ("reference", "probe", "step_size"),
    ("train", "untouched"),
    ("evaluate",),
)  # each needs those before it only
DVC = [sys.executable, "-m", "dvc", "--wait-for-lock"]


def lanes(stages: list[str], wave: tuple[str, ...], jobs: int) -> list[list[str]]:
    """The stages of a wave dealt out to `jobs` lanes in turn; a matrix stage is called name@item."""
    mine = [s for s in stages if s.split("@")[0] in wave]
    return [lane for lane in (mine[i::jobs] for i in range(jobs)) if lane]


def main(jobs: Annotated[int, typer.Option(min=1, help="stages at a time")] = max(1, (os.cpu_count() or 1))) -> None:
    """Bring everything up to date; the exit status is that of the first command that failed."""
    listed = subprocess.run([*DVC, "stage", "list", "--name-only"], check=True, capture_output=True, text=True)
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    for wave in WAVES:
        side = lanes(listed.stdout.split(), wave, jobs)
        environment = {**os.environ, "OMP_NUM_THREADS": threads} if len(side) > 1 else None
        running = [subprocess.Popen([*DVC, "repro", "--single-item", *lane], env=environment) for lane in side]
        if failed := [code for code in [process.wait() for process in running] if code]:
            sys.exit(failed[0])
    sys.exit(subprocess.run([*DVC, "repro"]).returncode)


if __name__ == "__main__":
    typer.run(main)
