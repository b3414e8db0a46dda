"""`dvc repro` with the independent stages side by side: `python -m dopsd.support.repro --jobs 2`.

DVC runs one stage at a time; small models leave cores idle that way. This starts several `dvc repro` on single stages, each
with its share of the cores, then one over everything, which finds them done. Plain `dvc repro` gives the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import typer

# a wave needs those before it only; within one, long stages come first, so that the last to end are short
WAVES = (("fetch",), ("step_size",), ("reference", "probe", "train"), ("evaluate", "untouched"))
DVC = [sys.executable, "-m", "dvc", "--wait-for-lock"]


def queue(stages: list[str], wave: tuple[str, ...]) -> list[str]:
    """The stages of a wave in its order; an item of a matrix stage is called name@item."""
    return [stage for name in wave for stage in stages if stage.split("@")[0] == name]


def main(
    jobs: Annotated[int | None, typer.Option(min=1, help="stages at a time; default: as many as cores")] = None,
) -> None:
    """Bring everything up to date; the exit status is that of the first command that failed."""
    cores = os.cpu_count() or 1
    jobs = jobs or cores
    listed = subprocess.run([*DVC, "stage", "list", "--name-only"], check=True, capture_output=True, text=True)
    environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, cores // jobs))}

    def repro(stage: str) -> int:
        return subprocess.run([*DVC, "repro", "--single-item", stage], env=environment).returncode

    for wave in WAVES:
        with ThreadPoolExecutor(jobs) as pool:
            codes = list(pool.map(repro, queue(listed.stdout.split(), wave)))
        if failed := [code for code in codes if code]:
            sys.exit(failed[0])
    sys.exit(subprocess.run([*DVC, "repro"]).returncode)


if __name__ == "__main__":
    typer.run(main)
