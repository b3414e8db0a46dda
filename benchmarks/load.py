"""How long large inputs take to open and plan, and the memory that it takes: pictures, prompts, a study's cells.

    python benchmarks/load.py

Each part runs in processes of its own, on a tenth and on all. Memory is what the process grew by at its peak, once all
modules were loaded. Nothing is trained, drawn or kept.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
import yaml

ROOT = Path(__file__).parents[1]
Work = Callable[[], int]  # does it -> how many there were


def pictures(n: int, folder: Path) -> Work:
    """Listing, headers, captions and the check of a folder of n JPEGs of 48 x 64 with a text beside each."""
    import numpy as np
    from PIL import Image

    from dopsd.sets.folder import read_pictures

    rng = np.random.default_rng(0)
    for i in range(n):
        small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        file = folder / f"{i // 1000:03d}" / f"{i:06d}.jpg"
        file.parent.mkdir(exist_ok=True)
        small.resize((64, 48)).save(file)
        file.with_suffix(".txt").write_text(f"[V] number {i}\n")

    return lambda: len(read_pictures(folder, "thing", 64).items)


def prompts(n: int, folder: Path) -> Work:
    """Reading a file of n prompts."""
    from dopsd.evaluation import rows

    file = folder / "prompts.jsonl"
    text = "a large striped red star on sand banded , photo style"
    fields = {"kind": "new", "text": text, "described": text, "height": 64, "width": 64}
    rows.write((rows.Row(id=f"a/{i}", group=str(i // 4), noise=i, **fields) for i in range(n)), file)
    return lambda: len(rows.read(file))


def cells(n: int, folder: Path) -> Work:
    """Planning the study of this repository with n trained cells (two methods, five concepts, n / 10 seeds)."""
    from dopsd.config.params import load
    from dopsd.evaluation import rows
    from dopsd.study import plan
    from dopsd.study.grid import fetched
    from dopsd.study.pipeline import Study
    from dopsd.study.prompts import written
    from dopsd.study.sets import write_concept
    from dopsd.support import paths

    os.chdir(folder)
    Path("models").symlink_to(ROOT / "models")
    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    settings["grid"]["seeds"] = list(range(n // 10))
    Path("params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    params = load()
    for concept in fetched(params):
        write_concept(concept, params.fetch, paths.concept_set(concept))
    for file, mine in written(params, None).items():
        rows.write(mine, file)

    def work() -> int:
        return sum(row.cells for row in plan.plan(Study(load(), folder / "store")) if row.stage == "train")

    return work


PARTS: dict[str, tuple[Callable[[int, Path], Work], int]] = {
    "pictures": (pictures, 50_000),
    "rows of prompts": (prompts, 100_000),
    "cells of a study": (cells, 1_000),
}


def peak() -> float:
    """MiB that this process held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def one(part: str, n: int) -> None:
    """Prepare a part, do it, and print its row's numbers."""
    with tempfile.TemporaryDirectory() as folder:
        work = PARTS[part][0](n, Path(folder))
        before, begun = peak(), time.perf_counter()
        there = work()
        print(there, time.perf_counter() - begun, peak() - before)
        os.chdir("/")


def main(part: Annotated[str | None, typer.Argument()] = None, n: Annotated[int, typer.Argument()] = 0) -> None:
    """Print the table; with a part and a number, do that one."""
    if part:
        one(part, n)
        return
    print("| what | number | seconds | MiB more |\n|---|---|---|---|", flush=True)
    for name, (_, all_of_it) in PARTS.items():
        for number in (all_of_it // 10, all_of_it):
            command = [sys.executable, __file__, name, str(number)]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            there, seconds, more = (float(x) for x in said.split())
            print(f"| {name} | {there:,.0f} | {seconds:.1f} | {more:.0f} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
