"""How long a study's trainings and drawings take over several GPUs, a cell a GPU, by the timed step of `dopsd plan`.

    python benchmarks/makespan.py          # Table 1 and its small study; writes benchmarks/results/zimage-makespan.json

Cells of a stage do not wait for each other, and drawing begins when the last training has ended. A GPU that is free takes the
next cell: "in order" as a stage hands them out, "longest first" if it began with the longest. Opening models, encoding,
writing prompts and scoring are not in it.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Mapping
from contextlib import chdir
from pathlib import Path

from dopsd.config.params import load
from dopsd.study import costs, plan
from dopsd.study.pipeline import Study
from dopsd.training import prepared

ROOT = Path(__file__).parents[1]
OUT = ROOT / "benchmarks" / "results" / "zimage-makespan.json"
STUDIES, GPUS = ("studies/zimage-small", "studies/zimage"), (1, 2, 4, 8)
Stages = Mapping[str, Mapping[str, float]]  # of each stage its cells, with a number each


def makespan(seconds: Iterable[float], gpus: int, longest_first: bool = False) -> float:
    """When the last of these cells ends: each begins on the GPU that is free first."""
    free = [0.0] * gpus
    for took in sorted(seconds, reverse=True) if longest_first else seconds:
        heapq.heappush(free, heapq.heappop(free) + took)
    return max(free)


def forwards(study: Study) -> dict[str, dict[str, int]]:
    """{stage: {cell: forwards of the generator}} of a study of which nothing is kept, in the stages' orders."""
    p, out = study.params, {"train": {}, "draw": {}}
    costs.foreseen(study)
    for cell in study.trained():
        asks = prepared.of(study.methods[cell.method])
        out["train"][cell.name] = plan.forwards(study, cell.method) + (asks.forwards if asks else 0)
    for drawing in study.drawings():
        if drawing.place.method in p.grid.trained or drawing.place.seed == p.grid.seeds[0]:
            out["draw"][drawing.place.name] = plan.drawn(study, drawing)[1]
    return out


def scheduled(stages: Stages, gpus: int) -> dict[str, float]:
    """Hours of all stages, one after another, and cells an hour, of cells with their seconds."""
    out = {"gpus": gpus, "cells": sum(len(cells) for cells in stages.values())}
    for name, first in (("in_order", False), ("longest_first", True)):
        out[name] = sum(makespan(cells.values(), gpus, first) for cells in stages.values()) / 3600
    return out | {"cells_an_hour": out["cells"] / out["in_order"]}


def of(study: str) -> dict:
    """A study's hours on each number of GPUs, and what they are counted by."""
    with chdir(ROOT / study):
        params = load()
        found, work = costs.timed(params), forwards(Study(params))
    assert found is not None  # both have a timed step
    seconds = {s: {c: n / found.speeds[s] for c, n in cells.items()} for s, cells in work.items()}
    by = {"device": found.device, "form": found.form, "file": found.file.name}
    return by | {"cells": {s: len(cells) for s, cells in work.items()}, "hours": [scheduled(seconds, n) for n in GPUS]}


def table(told: Mapping[str, dict]) -> str:
    """Markdown, a row a study and number of GPUs."""
    heads = [
        "study",
        "GPUs",
        "trainings",
        "drawings",
        "hours, in order",
        "hours, longest first",
        "cells an hour",
        "of ideal",
    ]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for study, found in told.items():
        one = found["hours"][0]["in_order"]
        for r in found["hours"]:
            cells = [study, r["gpus"], found["cells"]["train"], found["cells"]["draw"], f"{r['in_order']:.1f}"]
            cells += [
                f"{r['longest_first']:.1f}",
                f"{r['cells_an_hour']:.2f}",
                f"{one / r['gpus'] / r['in_order']:.0%}",
            ]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    made = {study: of(study) for study in STUDIES}
    OUT.write_text(json.dumps({"studies": made}, indent=1) + "\n")
    print(table(made))
