"""The training of a cell that tunes every weight by a method which asks for a preparation, as a worker runs it."""

from __future__ import annotations

from pathlib import Path

from dopsd import backbones
from dopsd.config.backbone import Backbone
from dopsd.config.train import Train
from dopsd.objectives import Method
from dopsd.sets.jsonl import read_set
from dopsd.training.prepared_whole import train_whole


def train_whole_cell(
    backbone: Backbone,
    method: Method,
    settings: Train,
    manifest: Path,
    seed: int,
    learning_rate: float,
    work: Path,
    name: str,
    device: str,
) -> Path:
    """As `train_cell`."""
    return train_whole(
        backbones.load(backbone.model_copy(update={"device": device})),
        read_set(manifest),
        method,
        settings,
        seed=seed,
        learning_rate=learning_rate,
        work=work,
        name=name,
    )
