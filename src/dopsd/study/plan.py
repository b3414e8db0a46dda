"""What a study would run, find kept, and cost, before it runs: cells, forwards, hours, disk and memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
from safetensors import SafetensorError, safe_open

from dopsd.config import chains, contexts, pictures, runs
from dopsd.config.backbone import Backbone
from dopsd.config.params import FILE, Params
from dopsd.config.runs import Run
from dopsd.config.train import Train
from dopsd.config.yaml import mapping
from dopsd.study import grid
from dopsd.study.contexts import Contextual
from dopsd.study.continual import Continual
from dopsd.study.grid import Cell
from dopsd.study.pictures import Pictures
from dopsd.study.pipeline import Drawing, Study
from dopsd.study.store import CARD
from dopsd.support import paths
from dopsd.support.errors import UserError, told
from dopsd.support.files import number, read_json
from dopsd.support.text import read_text
from dopsd.training.results import TIME_FILE


@dataclass(frozen=True)
class Row:
    """A kind of work: how many cells, of them kept, and the forwards and seconds of those to run (None: not known)."""

    stage: str
    method: str
    cells: int
    kept: int
    forwards: int
    seconds: float | None


def measured(folders: Iterable[Path]) -> float | None:
    """Seconds of a training, from those of finished ones; None where none is kept."""
    times = [number(f / TIME_FILE, "seconds") for f in folders if (f / TIME_FILE).exists()]
    return sum(times) / len(times) if times else None


def opened(params: Params) -> Study:
    """The study of a folder: of chains, of contexts, or of so many pictures a row, where it has a file that says so."""
    kinds = {chains.FILE: Continual, contexts.FILE: Contextual, pictures.FILE: Pictures}
    return next((kind for file, kind in kinds.items() if file.exists()), Study)(params)


def _training(study: Study, method: str, cells: list[tuple[Cell, float]]) -> tuple[Row, set[Path]]:
    folders = {paths.adapters(*cell): study.training(cell, rate) for cell, rate in cells}
    folders = {place: study.kept(keyed, place) for place, keyed in folders.items()}
    kept = {place for place, folder in folders.items() if folder}
    each = forwards(study, method) * study.lessons
    one = measured(f for f in folders.values() if f)
    missing = len(cells) - len(kept)
    return Row("train", method, len(cells), len(kept), each * missing, one * missing if one is not None else None), kept


def forwards(study: Study, method: str) -> int:
    """Of the generator, in a training: a backward pass is counted as two."""
    of = grid.training(study.params, method)
    return of.steps * of.batch_size * study.methods[method].needs.forwards


def _rates(study: Study) -> dict[str, float]:
    """Each method's learning rate: given, or found by a search that has run; that of the first candidate else, which names
    cells that are not kept."""
    known = read_json(paths.STEP_SIZE) if paths.STEP_SIZE.exists() else {}
    of, first = study.params.step_size, (*study.params.step_size.candidates, 0.0)[0]
    return {
        m: number(paths.STEP_SIZE, m, "value") if m in known else of.given.get(of.same.get(m, m), first)
        for m in study.methods
    }


def plan(study: Study) -> list[Row]:
    """A row a stage and method. UserError where sets or prompts are not there yet: they are written in moments.

    A search of learning rates counts as the trainings that it is made of. Scoring runs no generator, so it has no forwards.
    """
    rates, out = _rates(study), []
    if not paths.PROMPTS.exists():
        raise UserError(
            f"{paths.PROMPTS}: missing; run `dvc repro prompts` first, which takes moments where no VLM writes"
        )
    out += searching(study)
    finished: set[Path] = set()
    for method in study.methods:
        cells = [(c, rates[method]) for c in study.trained() if c.method == method]
        row, kept = _training(study, method, cells)
        out.append(row)
        finished |= kept
    for method in study.contexts.contexts if isinstance(study, Contextual) else study.params.grid.methods:
        out.append(_drawing(study, method, finished))
    return out


def searching(study: Study) -> list[Row]:
    """The trainings of a search of learning rates that has not run, a row a method."""
    p = study.params
    if not p.searched or paths.STEP_SIZE.exists():
        return []
    n = len(p.step_size.candidates) * len(p.step_size.concepts)
    return [Row("step_size", m, n, 0, n * forwards(study, m), None) for m in p.searched]


def drawn(study: Study, drawing: Drawing) -> tuple[int, int]:
    """How many pictures a cell draws, and the forwards of the generator that they take."""
    asked = Counter((r.kind, r.chance) for r in study.rows(drawing.cell.concept, drawing.cell.seed))
    each = [(asked[s.kind, s.chance], s.nfe * (2 if s.guidance else 1)) for s in drawing.todo]
    return sum(n for n, _ in each), sum(n * steps for n, steps in each)


def _drawing(study: Study, method: str, finished: set[Path]) -> Row:
    """Cells that draw: kept only where their training is."""
    mine = [d for d in study.drawings() if d.place.method == method]
    kept, total = 0, 0
    for drawing in mine:
        place, cell, todo, weights = drawing
        there = weights is None or (weights in finished and weights.is_dir())
        if there and study.kept(study._drawing(weights, cell, todo), paths.samples(*place)):
            kept += 1
            continue
        total += drawn(study, drawing)[1]
    return Row("draw", method, len(mine), kept, total, None)


def _speed(row: Row, speeds: Mapping[str, float]) -> float | None:
    """A search of learning rates is mostly trainings."""
    return speeds.get("train" if row.stage == "step_size" else row.stage)


def _hours(row: Row, speeds: Mapping[str, float]) -> str:
    if row.seconds is not None:
        return f"{row.seconds / 3600:.2f}"
    speed = _speed(row, speeds)
    return "not measured" if speed is None else f"{row.forwards / speed / 3600:.3f} on record"


def table(rows: list[Row], speeds: Mapping[str, float] = MappingProxyType({})) -> pd.DataFrame:
    """Rows to be printed: hours from measured times where a training of the method is kept; else of one device by `speeds`, a
    stage's forwards a second; else "not measured"."""
    hours = [_hours(r, speeds) for r in rows]
    out = pd.DataFrame([vars(r) for r in rows])
    out["to run"] = [r.cells - r.kept for r in rows]
    out["hours"] = ["" if r.cells == r.kept else h for r, h in zip(rows, hours, strict=True)]
    return out.loc[:, ["stage", "method", "cells", "kept", "to run", "forwards", "hours"]]


def by_record(rows: list[Row], ran: Sequence[Run]) -> str:
    """What all that is to run takes, at the speed of the runs on record; scoring, which runs no generator, is not in it."""
    speeds = runs.speeds(ran)
    each = [(r.forwards, _speed(r, speeds)) for r in rows if r.forwards]
    if not ran or any(speed is None for _, speed in each):
        return f"hours: no {runs.FILE} with forwards beside these settings or those that they extend"
    total = sum(n / speed for n, speed in each if speed) / 3600
    devices = ", ".join(dict.fromkeys(run.device for run in ran))
    return f"hours: {total:.2f} of one device like those on record ({devices}), scoring apart"


def on_record() -> tuple[Run, ...]:
    """The runs of this folder's study, or else those of the one that it extends."""
    parent = mapping(read_text(FILE), str(FILE)).get("extends")
    beside = Path(parent).parent if isinstance(parent, str) and Path(parent).name == FILE.name else Path()
    return runs.load() or runs.load(beside / runs.FILE)


def disk(study: Study, rows: list[Row]) -> str:
    """What the kept cells take, and what those to run will, if they are as large on average."""
    folders = [f for f in study.store.folder.glob("*") if (f / CARD).exists()]
    if not folders:
        return "disk: not known before a cell is finished"
    size = sum(f.stat().st_size for folder in folders for f in folder.rglob("*") if f.is_file())
    missing = sum(r.cells - r.kept for r in rows)
    more = size / len(folders) * missing
    return f"disk: {size / 2**30:.2f} GiB of {len(folders)} kept cells; about {more / 2**30:.2f} GiB more"


FROZEN = {
    "int8": 1.0,
    "fp8": 2.0,
    "nf4": 0.57,
}  # bytes of a frozen weight as `quantize` keeps it; else those of its type
TRAINED = 20  # bytes of a trained weight, up to: float32 weight, gradient, the two moments of Adam and the teacher's


@contextmanager
def header(file: Path) -> Iterator[Any]:
    """A file of weights, of which the header is read, that says how long it must be. UserError where it is no such file, or
    not all there."""
    try:
        with safe_open(file, "pt") as f:
            yield f
    except (OSError, SafetensorError) as error:
        raise UserError(f"{file}: not a file of weights ({told(error)}); fetch it again") from None


def weights_of(settings: Backbone) -> dict[str, list[int]]:
    """{name: shape} of a transformer in a local folder, from its files' headers; {} where it is in none. UserError where a
    file is no such file, or not all there."""
    out: dict[str, list[int]] = {}
    for file in sorted(Path(settings.transformer or settings.model, "transformer").glob("*.safetensors")):
        with header(file) as f:
            out |= {name: f.get_slice(name).get_shape() for name in f.keys()}  # noqa: SIM118 - no mapping
    return out


def memory(settings: Backbone, train: Train) -> str:
    """What a training holds on its device beside activations, counted from the shapes in the weights' files. (Measured peaks:
    docs/real-models.md.)"""
    shapes = list(weights_of(settings).values())
    if not shapes:
        return f"memory: not known before the weights of {settings.model} are in a local folder"
    weights, own = sum(math.prod(shape) for shape in shapes), {"float32": 4, "bfloat16": 2}[settings.dtype]
    if train.tune == "full":  # offloaded: student, teacher and gradient; else the teacher beside all that is float32
        total = weights * (3 * own if train.offload else TRAINED + own)
    else:
        copies = 1 if not train.merged_teacher else 2.5 if settings.quantize == "fp8" else 2
        adapters = sum(train.lora_rank * sum(s) * TRAINED for s in shapes if len(s) == 2)
        total = weights * FROZEN.get(settings.quantize, own) * copies + adapters
    return (
        f"memory: up to {total / 2**30:.2f} GiB a training for weights and optimiser, and the activations of one sample"
    )
