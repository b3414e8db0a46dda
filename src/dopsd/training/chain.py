"""Trainings on one model, one after another: each tunes a fresh LoRA on top of those before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dopsd import backbones
from dopsd.backbones.base import Backbone
from dopsd.config.backbone import Backbone as Settings
from dopsd.config.section import Where, named
from dopsd.config.train import Train
from dopsd.objectives import Method
from dopsd.sets.items import Item
from dopsd.support import seeds
from dopsd.support.errors import UserError
from dopsd.support.files import number, remove, whole, write_json
from dopsd.training import lora, prepared, results
from dopsd.training.loop import train


@dataclass(frozen=True)
class Summed:
    """LoRAs of one shape, trained one on top of another, as one of so many times the rank: its change of the weights is the
    sum of theirs. (Weights in bf16 are rounded each time that a LoRA is put into them; this sum is not.)"""

    kind: type[Backbone]
    parts: Sequence[Path]

    def save(self, folder: Path) -> None:
        """Write it into an empty folder; UserError where two differ in rank, alpha or layers."""
        (first, how), *others = read = [lora.read(part) for part in self.parts]
        for (weights, settings), part in zip(others, self.parts[1:], strict=True):
            if weights.keys() != first.keys() or any(settings[k] != how[k] for k in ("r", "lora_alpha")):
                raise UserError(f"{part}: another rank, alpha or other layers than {self.parts[0]}; train all alike")
        joined = {k: torch.cat([w[k] for w, _ in read], 0 if ".lora_A." in k else 1) for k in first}
        times = {k: len(self.parts) * how[k] for k in ("r", "lora_alpha")}
        self.kind.save_lora(folder, joined, how | times)


@dataclass(frozen=True)
class Link:
    """One training of a chain: its pictures, and what they are called."""

    name: str
    items: list[Item]


def check(model: Settings, method: Method, settings: Train, where: str | Where = "params.yaml") -> None:
    """UserError where trainings of a method cannot follow one another as they are set. where: the file that says it."""
    if prepared.of(method) or method.needs.another:
        raise UserError(
            f"{named(where, 'grid', 'trained')}: grid.trained: {method.name!r} needs more than a set and a model; take it "
            "out: a chain has no more"
        )
    for path, given, remedy in (
        (("train", "tune"), settings.tune, "lora"),
        (("backbone", "quantize"), model.quantize, "none"),
    ):
        if given != remedy:
            raise UserError(
                f"{named(where, *path)}: {'.'.join(path)}: {given}; a chain puts LoRAs into the weights: set it to {remedy}"
            )


def seed_of(seed: int, k: int) -> int:
    """The seed of the k-th training, from 1. The first has the chain's, so it is the training that stands alone; the others
    start from matrices, and draw batches and noise, of their own."""
    return seed if k == 1 else seeds.number("chain", seed, k) % 2**31


def train_chain(
    model: Settings,
    method: Method,
    settings: Train,
    links: Sequence[Link],
    *,
    seed: int,
    learning_rate: float,
    work: Path,
    name: str,
) -> Path:
    """Tune a model on one set after another -> a folder with step-000K/ for the K-th: the LoRA of the whole change since the
    untouched model, of K times the rank, and loss-K.csv.

    Each training is `train`'s, of a fresh LoRA, on the model with the earlier ones merged into its weights, in a folder of
    `work` of its own: a chain that was killed repeats none that is finished. UserError as there, and see `check`.
    """
    check(model, method, settings)
    done, kind = list[Path](), backbones.kind(model)
    for k, link in enumerate(links, 1):
        backbone = backbones.load(model)
        for earlier in done:
            prepared.merge_in(backbone.transformer, results.step_folder(earlier, settings.steps))
        how = {"seed": seed_of(seed, k), "learning_rate": learning_rate, "name": f"{name} {k}: {link.name}"}
        done.append(train(backbone, link.items, method, settings, work=work / str(k), **how))
    out = work / "chain"
    remove(out)
    parts = [results.step_folder(folder, settings.steps) for folder in done]
    with whole(out) as part:
        part.mkdir()
        for k, folder in enumerate(done, 1):
            joined: Any = Summed(kind, parts[:k])
            results.save_weights(joined, results.step_folder(part, k), {"chain": [f.name for f in done[:k]]})
            (part / f"loss-{k}.csv").write_bytes((folder / results.LOG_FILE).read_bytes())
        seconds = sum(number(folder / results.TIME_FILE, "seconds") for folder in done)
        write_json({"seconds": seconds, "steps": len(links) * settings.steps}, part / results.TIME_FILE)
    return out
