"""What a step of each method of a study costs over the baseline's: seconds, forwards and peak memory, in one run.

    python benchmarks/costs.py                      # the root's study
    python benchmarks/costs.py --study studies/full --out costs.json

Every method trains on the first concept of the study, alone on the device, a step of each in turn, round after round after
`WARM` that do not count. Ratios are of the medians of these rounds; peak memory is the GPU's own count, reset before each
step, and is not told on a CPU, where the allocator keeps no count. Seconds belong to the machine that is named.
"""

from __future__ import annotations

import platform
import statistics
import time
from contextlib import chdir
from pathlib import Path
from typing import Annotated

import torch
import typer

from dopsd import backbones
from dopsd.backbones.pipeline import device as named_device
from dopsd.config.params import load
from dopsd.sets.jsonl import read_set
from dopsd.study import grid, keys
from dopsd.support import paths
from dopsd.support.files import rounded, write_json
from dopsd.support.progress import progress
from dopsd.training import prepared
from dopsd.training.encoded import Encoded
from dopsd.training.loop import Training

WARM = 2
MIB = 2**20


def begun(params, name: str) -> tuple[Training, Encoded]:
    """A training of a method on the first concept, and its data. Each has a model of its own, as in a study. What it
    prepares is made and not timed; an adapter, which changes no step's cost, is left out."""
    concept, method = params.grid.concepts[0], grid.methods(params)[name]
    asks = prepared.of(method)
    backbone = backbones.load(keys.base(params.backbone) if asks and asks.base else params.backbone)
    items = read_set(paths.concept_set(concept) / "data.jsonl")
    if asks and not asks.adapter:
        method = prepared.ready(method, prepared.prepare(backbone, items, asks, 0))
    other = read_set(paths.concept_set(grid.another(concept, params)) / "data.jsonl") if method.needs.another else None
    data = Encoded(backbone, items, method.needs.seen, None, other)
    return Training(backbone, method, grid.training(params, name), 0, 1e-4), data


def step(training: Training, data: Encoded) -> tuple[float, float]:
    """Seconds of an optimiser step, and its peak of memory above what stands already, in MiB (nan on a CPU)."""
    gpu = training.backbone.device.type == "cuda"
    before = 0
    if gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    now = time.perf_counter()
    training.advance(training.batch(data))
    if gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - now, (torch.cuda.max_memory_allocated() - before) / MIB if gpu else float("nan")


def main(
    study: Annotated[Path, typer.Option(help="the folder of its params.yaml; its sets must be written")] = Path(),
    rounds: int = 7,
    out: Annotated[Path | None, typer.Option(help="a JSON file for the numbers")] = None,
) -> None:
    """Print the table, and write it."""
    out = out and out.resolve()
    with chdir(study):
        params = load()
        device = named_device(params.backbone.device)
        all_of = {name: begun(params, name) for name in params.grid.trained}
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in all_of}
        for _ in progress(range(WARM + rounds), desc="rounds", shown=True):
            for name, (training, data) in all_of.items():
                taken[name].append(step(training, data))
    base = params.compare.baseline
    rows = {}
    for name, times in taken.items():
        of, seconds = all_of[name][0], statistics.median(s for s, _ in times[WARM:])
        peak = statistics.median(m for _, m in times[WARM:])
        steps, forwards = of.settings.steps, of.method.needs.forwards
        rows[name] = {"seconds": seconds, "forwards": forwards, "mib": peak, "steps": steps}
    for row in rows.values():
        first = rows[base]
        row |= {f"{k}_over": row[k] / first[k] for k in ("seconds", "forwards", "mib")}
        row["training_over"] = row["seconds_over"] * row["steps"] / first["steps"]
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    print(f"{where}, torch {torch.__version__}, {rounds} rounds, over {base}\n")
    print("| method | seconds | forwards | memory | of a training |\n|---|---|---|---|---|")
    for name, r in rows.items():
        over = " | ".join(f"{r[f'{k}_over']:.2f}" for k in ("seconds", "forwards", "mib", "training"))
        print(f"| {name} | {over} |")
    if out:
        made = {"device": where, "torch": torch.__version__, "rounds": rounds, "baseline": base}
        write_json(
            made | {"methods": rounded({n: {k: v for k, v in r.items() if v == v} for n, r in rows.items()})}, out
        )


if __name__ == "__main__":
    typer.run(main)
