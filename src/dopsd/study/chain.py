"""The trainings of a chain, as a worker runs them: one model is taught one concept after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from dopsd import backbones
from dopsd.config.backbone import Backbone
from dopsd.config.train import Train
from dopsd.evaluation.drawing import check_words
from dopsd.evaluation.rows import PLACEHOLDER
from dopsd.objectives import Method
from dopsd.sets.items import Item
from dopsd.sets.jsonl import read_set
from dopsd.training.chain import Link, train_chain


class Taught(NamedTuple):
    """A concept: its own name, the manifest of its pictures, and what captions call it in the place of "[V]"."""

    concept: str
    manifest: Path
    name: str


def renamed(item: Item, name: str) -> Item:
    """A picture whose captions call the concept so."""
    return replace(item, captions={k: text.replace(PLACEHOLDER, name) for k, text in item.captions.items()})


def train_chain_cell(
    backbone: Backbone,
    method: Method,
    settings: Train,
    concepts: Sequence[Taught],
    seed: int,
    learning_rate: float,
    work: Path,
    name: str,
    device: str,
) -> Path:
    """Train on one concept after another (see `train_chain`) -> the folder of the chain. UserError where the model has no
    word for a name."""
    model = backbone.model_copy(update={"device": device})
    check_words(backbones.load(model).tokenizer, " ".join(c.name for c in concepts))
    links = [Link(c.concept, [renamed(item, c.name) for item in read_set(c.manifest)]) for c in concepts]
    return train_chain(model, method, settings, links, seed=seed, learning_rate=learning_rate, work=work, name=name)
