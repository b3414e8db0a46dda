"""What a training leaves: a folder for every checkpoint, the log, the time that it took."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dopsd.support import sealed
from dopsd.support.files import remove, sort_metadata, whole, write_json, write_text
from dopsd.training import state
from dopsd.training.tensors import check_finite, read
from dopsd.training.weights import Weights

LOG = ("step", "loss", "lr", "grad_norm")
LOG_FILE = "loss.csv"  # the last file of a training: where it stands, the training is finished
TIME_FILE = "time.json"  # how long it took: apart, since no two equal trainings share it


def step_folder(folder: Path, step: int) -> Path:
    """Where a training keeps the weights of a step."""
    return folder / f"step-{step:04d}"


def save_weights(weights: Weights, folder: Path, owner: Any = "weights") -> None:
    """The student's weights as diffusers reads them, sealed; the folder appears whole or not at all, and never with a number
    that is not finite: UserError then."""
    with whole(folder) as part:
        part.mkdir()
        weights.save(part)
        for file in sorted(part.rglob("*.safetensors")):
            sort_metadata(file)
            check_finite(read(file)[0], folder.name, "nothing is written of them: lower the learning rate")
        sealed.seal(part, owner)


def write_log(rows: Iterable[tuple], file: Path) -> None:
    """A row a step; the file appears whole or not at all."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(LOG)
    writer.writerows(rows)
    write_text(text.getvalue(), file)


def conclude(folder: Path, log: Iterable[tuple], seconds: float, steps: int) -> None:
    """Write down that a training is finished: the log comes last."""
    write_json({"seconds": seconds, "steps": steps}, folder / TIME_FILE)
    write_log(log, folder / LOG_FILE)


def finished(folder: Path, kept: Iterable[int], owner: Any) -> bool:
    """Whether a training has ended there, with every checkpoint as it was written. What is damaged is said on stderr, and the
    training counts as unfinished."""
    if not (folder / LOG_FILE).exists():
        return False
    try:
        for step in kept:
            sealed.check(step_folder(folder, step), owner)
    except sealed.Damaged as error:
        state.to_stderr(f"{error}; the training is not finished any more")
        return False
    return True


def clear(folder: Path, kept: Iterable[int], keep_state: bool) -> None:
    """Remove what a finished training has no more use for: its states, all but the last one if `keep_state`, and checkpoints
    that are not asked for."""
    state.prune(folder, 1 if keep_state else 0)
    for other in set(folder.glob("step-*")) - {step_folder(folder, step) for step in kept}:
        remove(other)
