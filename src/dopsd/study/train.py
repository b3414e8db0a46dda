"""A cell's training, as a worker runs it."""

from __future__ import annotations

from pathlib import Path

from dopsd import backbones
from dopsd.config.backbone import Backbone
from dopsd.config.train import Train
from dopsd.objectives import Method
from dopsd.sets.jsonl import read_set
from dopsd.training.loop import train


def train_cell(
    backbone: Backbone,
    method: Method,
    settings: Train,
    manifest: Path,
    seed: int,
    learning_rate: float,
    work: Path,
    name: str,
    shown: Path | None,
    device: str,
) -> Path:
    """Train on the set of a manifest, in a folder of `work` -> the folder of the finished training (see `train`). shown: the
    manifest of the pictures that the teacher sees in the set's place."""
    return train(
        backbones.load(backbone.model_copy(update={"device": device})),
        read_set(manifest),
        method,
        settings,
        seed=seed,
        learning_rate=learning_rate,
        work=work,
        name=name,
        shown=read_set(shown) if shown else None,
    )
