"""Cells of the small Z-Image study over several GPUs, a cell a GPU, on random weights of the real size.

    python benchmarks/cells.py --gpus 1 --out benchmarks/results/h200-cells-1.json
    python benchmarks/cells.py --gpus 2 --model tiny-zimage --size 64                  # on CPUs, two workers

The stages fetch, prompts, step_size, train and draw of studies/zimage-small run as they are, with the study's own executor;
nothing is scored. Prompts are captions (no VLM writes), of which the first of each kind is drawn, a training has --steps
steps, and each GPU gets the cells of a seed of its own. In each worker the parts of a cell are timed, and what was cut is put
back: steps and pictures by the median of those after the first, which compiles or warms up, checkpoints by the one that was
written. Features of more prompts are not put back. From the cells follow the hours of the whole small study (`makespan.py`).
"""

from __future__ import annotations

import json
import os
import pkgutil
import shutil
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack, chdir
from functools import wraps
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import torch
import typer
from makespan import GPUS, scheduled
from random_study import CLASS, STUDY, cut, few, models, whole
from step import DTYPE, GIB, synchronised

from dopsd.backbones.pipeline import device as named_device
from dopsd.stages import draw, fetch, prompts, step_size, train
from dopsd.study import costs, keys, plan
from dopsd.study.pipeline import Study
from dopsd.support.files import read_json, write_json

PARTS = {  # of a cell: what is called in it
    "open": ["dopsd.backbones.pipeline.PipelineBackbone.opened"],  # the transformer
    "encode": ["dopsd.training.encoded.Encoded.__init__", "dopsd.evaluation.drawing.Asked.of"],  # opening encoders, too
    "prepare": ["dopsd.training.prepared.prepare"],
    "class pictures": ["dopsd.training.prepared.drawn"],
    "step": ["dopsd.training.loop.Training.advance"],
    "save": ["dopsd.training.results.save_weights"],
    "picture": ["dopsd.evaluation.drawing.sample"],
    "decode": ["dopsd.backbones.zimage.ZImage.decode"],
    "write": ["dopsd.study.draw.keep"],  # a sheet
}
TIMES = Path("times")


class Clock:
    """Seconds of the parts of a cell, each call's apart from those within it."""

    def __init__(self):
        self.parts: dict[str, list[float]] = {}
        self._within = [0.0]

    @staticmethod
    def now() -> float:
        """When all that was asked of this worker's GPU is done."""
        return synchronised(torch.device("cuda" if torch.cuda.is_available() else "cpu"))

    def timed(self, name: str, function: Callable) -> Callable:
        """A function whose calls are noted under a name."""

        @wraps(function)
        def run(*arguments, **options):
            begun = self.now()
            self._within.append(0.0)
            try:
                return function(*arguments, **options)
            finally:
                took = self.now() - begun
                self.parts.setdefault(name, []).append(took - self._within.pop())
                self._within[-1] += took

        return run


def timed(function: Callable[..., Path], arguments: tuple, file: Path, device: str) -> Path:
    """A worker of a cell, timed: as `function(*arguments, device)`, with a file of its seconds."""
    clock = Clock()
    with ExitStack() as patches:
        for name, places in PARTS.items():
            for place in places:
                patches.enter_context(patch(place, clock.timed(name, pkgutil.resolve_name(place))))
        begun = clock.now()  # which wakes the GPU, if nothing has
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        folder = function(*arguments, device)
        seconds = clock.now() - begun
    file.parent.mkdir(parents=True, exist_ok=True)
    peak = torch.cuda.max_memory_allocated() / GIB if torch.cuda.is_available() else None
    write_json({"seconds": seconds, "device": str(device), "peak_gib": peak, "parts": clock.parts}, file)
    return folder


class Timed(Study):
    """The study, whose cells are timed."""

    def _published(self, what, cells, place, root):
        files = {cell: TIMES.resolve() / what / f"{'-'.join(map(str, cell))}.json" for cell in cells}
        noted = {cell: (k, (timed, (*job, files[cell]))) for cell, (k, job) in cells.items()}
        return super()._published(what, noted, place, root)


def later(seconds: list[float], n: int) -> float:
    """What n calls would have taken: the first as it was, the others by the median of those after it."""
    first, *others = seconds
    return first + (n - 1) * statistics.median(others or seconds)


def put_back(told: dict, study: Study, stage: str, cell: tuple[str, str, int], wanted: int) -> float:
    """Seconds that a cell would take uncut. wanted: of draw its pictures in the whole study, of train its steps."""
    parts, total = told["parts"], told["seconds"]
    if stage == "draw":
        drawn = parts["picture"], parts["decode"]
        each = sum(parts["write"]) / len(parts["picture"])
        return total - sum(map(sum, drawn)) - sum(parts["write"]) + sum(later(p, wanted) for p in drawn) + wanted * each
    params = study.params
    total += later(parts["step"], wanted) - sum(parts["step"])
    total += (len(params.train.kept) - len(parts["save"])) * statistics.median(parts["save"])
    if made := parts.get("class pictures"):
        total += sum(made) * (params.methods[cell[0]]["pictures"] / CLASS - 1)
    return total


def pictures(study: Study) -> dict[str, int]:
    """{method/concept: pictures that its cell draws} of the whole study."""
    costs.foreseen(study)
    return {"/".join(d.place[:2]): plan.drawn(study, d)[0] for d in study.drawings()}


def told(run: Path) -> list[dict]:
    """A row a cell that has been timed: its seconds, by part, and what it would take uncut."""
    with chdir(STUDY):
        study = Study(whole())
        counts = pictures(study)
    rows = []
    for file in sorted((run / TIMES).glob("*/*.json")):
        stage, (method, concept, seed), found = file.parent.name, file.stem.rsplit("-", 2), read_json(file)
        wanted = study.params.train.steps if stage == "train" else counts[f"{method}/{concept}"]
        row = {"stage": stage, "method": method, "concept": concept, "seed": int(seed)} | found
        rows.append(row | {"uncut": put_back(found, study, stage, (method, concept, int(seed)), wanted)})
    return rows


def hours(rows: list[dict]) -> list[dict]:
    """The whole small study on one to eight GPUs, its cells as long as those of all seeds here are on average."""
    with chdir(STUDY):
        study = Study(whole())
        costs.foreseen(study)
        order = {"train": study.trained(), "draw": [d.place for d in study.drawings()]}
    stages: dict[str, dict[str, float]] = {}
    for stage, cells in order.items():
        each = {
            c: [r["uncut"] for r in rows if (r["stage"], r["method"], r["concept"]) == (stage, *c[:2])] for c in cells
        }
        stages[stage] = {"/".join(c[:2]): statistics.mean(mine) for c, mine in each.items() if mine}
    return [scheduled(stages, n) for n in GPUS]


def table(rows: list[dict], whole_study: list[dict]) -> str:
    """Markdown: a row a cell, then the study's hours."""
    names = [*PARTS, "rest"]
    heads = ["cell", "seconds", *names, "peak GiB", "uncut, minutes"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for r in rows:
        parts = {name: sum(calls) for name, calls in r["parts"].items()}
        parts["rest"] = r["seconds"] - sum(parts.values())
        cells = [f"{r['stage']} {r['method']}/{r['concept']}/{r['seed']}", f"{r['seconds']:.1f}"]
        cells += [f"{parts[n]:.1f}" if n in parts else "" for n in names]
        cells += ["" if r["peak_gib"] is None else f"{r['peak_gib']:.1f}", f"{r['uncut'] / 60:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("\n| GPUs | hours, in order | hours, longest first | cells an hour |\n|---|---|---|---|")
    for r in whole_study:
        lines.append(f"| {r['gpus']} | {r['in_order']:.2f} | {r['longest_first']:.2f} | {r['cells_an_hour']:.2f} |")
    return "\n".join(lines)


def main(
    gpus: Annotated[int, typer.Option(min=1, help="cells at a time, a GPU each")] = 1,
    model: Annotated[str, typer.Option(help="zimage, tiny-zimage")] = "zimage",
    size: Annotated[int, typer.Option(help="pixels a side")] = 1024,
    steps: Annotated[int, typer.Option(min=2, help="of each training")] = 2,
    compiled: Annotated[
        bool,
        typer.Option("--compiled/--not-compiled", help="backbone.compile_blocks, as the study has it: minutes more"),
    ] = False,
    out: Annotated[Path | None, typer.Option(help="a .json file for all numbers")] = None,
    folder: Annotated[
        Path, typer.Option("--models", help="for random weights, 30 GB, and the cells, 5 GB a GPU")
    ] = Path("models/work/random"),
) -> None:
    """Run the stages and print what their cells take."""
    device = named_device("auto")
    if device.type == "cuda" and gpus > torch.cuda.device_count():
        raise typer.BadParameter(f"--gpus {gpus}: there are {torch.cuda.device_count()}")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    how = {"model": model, "size": size, "gpus": gpus, "steps": steps, "compiled": compiled}
    begun = time.perf_counter()
    named = models(model, folder, device, getattr(torch, DTYPE[device.type]))
    run = folder / "cells"
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True)
    cut(run, named, how | {"device": device.type, "dtype": DTYPE[device.type]})
    facts: dict[str, Any] = {"device": name, "torch": torch.__version__} | how
    facts["stages"] = {"random weights": time.perf_counter() - begun}
    os.environ.pop("DOPSD_JOBS", None)
    # weights are told apart by their folder, as those of a hub are by their name: reading all of them is no part of a study
    by_name = patch.object(keys, "weights", lambda settings, seen: [settings.model])
    for stage in (fetch, prompts, step_size, train, draw):
        begun = time.perf_counter()
        with chdir(run), by_name, patch.object(stage, "Study", Timed, create=True):
            stage.main()
            if stage is prompts:
                few()
        facts["stages"][stage.__name__.rpartition(".")[2]] = time.perf_counter() - begun
        rows = told(run)
        facts["cells"] = rows
        if out:
            out.write_text(json.dumps(facts, indent=1))
    facts["study"] = hours(rows)
    if out:
        out.write_text(json.dumps(facts, indent=1))
    print(f"\n{model}, {size} x {size}, {gpus} x {name}, torch {torch.__version__}, seconds of the stages: ", end="")
    print(", ".join(f"{stage} {took:.1f}" for stage, took in facts["stages"].items()))
    print(f"\n{table(rows, facts['study'])}")


if __name__ == "__main__":
    typer.run(main)
