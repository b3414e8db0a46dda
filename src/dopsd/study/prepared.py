"""The training of a cell whose method asks for a preparation, and the adapters that such share, as workers run them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dopsd import backbones
from dopsd.config.backbone import Backbone
from dopsd.config.train import Train
from dopsd.method.preparation import Preparation
from dopsd.objectives import Method
from dopsd.sets.jsonl import read_set
from dopsd.training.prepared import make_adapter, train_prepared


def train_prepared_cell(
    backbone: Backbone,
    method: Method,
    settings: Train,
    manifest: Path,
    seed: int,
    learning_rate: float,
    work: Path,
    name: str,
    adapter: Path | None,
    device: str,
) -> Path:
    """As `train_cell`. backbone: the base, where the method asks for it; adapter: the folder that `adapter_cell` made for the
    few-step model, where it asks for one."""
    return train_prepared(
        backbones.load(backbone.model_copy(update={"device": device})),
        read_set(manifest),
        method,
        settings,
        seed=seed,
        learning_rate=learning_rate,
        work=work,
        name=name,
        adapter=adapter,
    )


def adapter_cell(
    backbone: Backbone, asked: Preparation, settings: Train, texts: Sequence[str], size: int, work: Path, device: str
) -> Path:
    """What `make_adapter` makes of a few-step model."""
    model = backbones.load(backbone.model_copy(update={"device": device}))
    return make_adapter(model, asked, settings, texts, (size, size), work)
