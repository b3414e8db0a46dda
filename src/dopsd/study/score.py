"""The scores of a cell, as a worker runs it: from kept pictures only."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from torch import Tensor

from dopsd.config.study import Evaluate
from dopsd.evaluation.instruments.mini_clip import load_clip
from dopsd.evaluation.instruments.reader import load_reader
from dopsd.evaluation.scores import Instruments, render_features, score_cell
from dopsd.evaluation.sheets import Sheet, asked, kept
from dopsd.support.files import write_json
from dopsd.world.concepts import load_training


@cache
def instruments() -> Instruments:
    """Opened once a process."""
    return Instruments(load_reader(), load_clip())


@cache
def renders(settings: Evaluate, seed: int) -> Tensor:
    """Features of held-out renders, once a process and seed."""
    return render_features(instruments().reader, settings, seed)


def score_pictures(
    pictures: Path,
    untouched: Path,
    todo: list[Sheet],
    drawn: list[Sheet],
    concept: Path,
    described: bool,
    seed: int,
    settings: Evaluate,
    folder: Path,
    device: str,
) -> Path:
    """Write the scores of a cell to folder/scores.json, and return the folder.

    pictures: the cell's folder with the sheets `todo`; untouched: the untouched model's, with those of the ordinary prompts,
    `drawn`. device: unused, scoring small pictures runs on the CPU.
    """
    training = load_training(concept)
    wanted = asked(training, settings, seed, described)
    sizes = {kind: len(p.texts) for kind, p in wanted.items()}
    before = {nfe: images for (_, _, nfe), images in kept(untouched, drawn, sizes).items()}
    scores = score_cell(
        kept(pictures, todo, sizes),
        before,
        renders(settings, seed),  # pyright: ignore[reportArgumentType] - a frozen model has a hash, which pydantic makes
        wanted,
        training,
        instruments(),
        settings,
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_json(scores, folder / "scores.json")
    return folder
