"""As `training.prepared`, where every weight is tuned: of methods that ask for neither a base nor an adapter."""

from __future__ import annotations

from pathlib import Path

from dopsd.backbones.base import Backbone
from dopsd.config.train import Train
from dopsd.objectives import Method
from dopsd.sets.items import Item
from dopsd.support.errors import UserError
from dopsd.training import prepared
from dopsd.training.loop import train


def check(method: Method, settings: Train) -> None:
    """UserError where a method that prepares something cannot be trained as it is set."""
    asked = prepared.of(method)
    if asked is None:
        return
    if settings.cuda_graphs:
        raise UserError(
            f"train.cuda_graphs: {method.kind} prepares something, which it cannot go with; set it to false"
        )
    if asked.adapter or asked.base:
        raise UserError(f"train.tune: {method.kind} is made of LoRAs that are put together; set it to lora")


def train_whole(
    backbone: Backbone,
    items: list[Item],
    method: Method,
    settings: Train,
    *,
    seed: int,
    learning_rate: float,
    work: Path,
    name: str,
) -> Path:
    """`train`, for a method that asks for a preparation."""
    check(method, settings)
    asked = prepared.of(method)
    assert asked is not None
    given = prepared.prepare(backbone, items, asked, seed)
    ready = prepared.ready(method, given)
    return train(backbone, items, ready, settings, seed=seed, learning_rate=learning_rate, work=work, name=name)
