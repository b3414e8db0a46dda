"""A prompt as a row of a file: written once for a study, and answered by all methods from the same noise.

    {"id": "beacon/0/new/3", "seed": 0, "kind": "new", "group": "1", "text": "a [V] at left", "noise": 3735928559, ...}

A row may be edited, or written by hand: only what it says is drawn.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from dopsd.config.section import Said, Section, Seed, Share, Side, validated
from dopsd.support.errors import UserError
from dopsd.support.files import write_text
from dopsd.support.text import json_lines

NEW = "new"  # the concept in a new picture
NAMELESS = (
    "nameless"  # the same with "thing" in the name's place: what is drawn of the concept then was not bound to it
)
OTHER = "other"  # the same with another name, which nothing was taught of
REWRITE = "rewrite"  # a training picture's caption in other words: held against that picture
ORDINARY = "ordinary"  # anything but the concept: what fine-tuning should leave as it was
REFERENCE = "reference"  # ordinary prompts from other noise, drawn by the untouched model: what sets are held against
Kind = Literal["new", "nameless", "other", "rewrite", "ordinary", "reference"]
PLACEHOLDER = "[V]"


class Truth(Section):
    """The world's scene that a prompt was made of: its attributes' words, and the free numbers that no prompt mentions."""

    attributes: dict[str, str]
    free: tuple[float, ...]


class Row(Section):
    """A prompt: what is asked for, at which size, from which noise, and what the picture can be held against."""

    id: Said  # of its own in the study
    seed: Seed | None = None  # of the trainings that answer it; null: all
    kind: Kind
    group: str  # rows of one group are one unit: one prompt's noises, or one training picture's prompts
    text: Said
    described: str | None = None  # the same with the concept spelled out in the place of "[V]"
    height: Side  # pixels
    width: Side
    noise: Annotated[int, Field(ge=0, lt=2**32)]  # seed of the noise that it is drawn from
    said: Share | None = None  # how much of what there is to say of the scene the text says
    chance: Share | None = None  # with which each attribute is said, where it is not the study's usual one
    picture: str | None = None  # the training picture that it belongs to: its name (`Item.name`)
    stated: tuple[str, ...] = ()  # the attributes that the text states, the concept's own apart
    truth: Truth | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, pixels."""
        return self.height, self.width

    def start(self, shape: Sequence[int]) -> Tensor:
        """The noise that the roll-out starts from, standard normal, of a latent's shape (C, h, w), on the CPU."""
        return torch.randn(*shape, generator=torch.Generator().manual_seed(self.noise))


def write(rows: Iterable[Row], file: Path) -> None:
    """A JSON object a line, without the fields that say nothing."""
    lines = [json.dumps(r.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False) + "\n" for r in rows]
    write_text("".join(lines), file)


def read(file: Path, missing: str = "run `dvc repro prompts`") -> list[Row]:
    """The rows of a file that `write` or a person wrote; UserError names line, field and remedy. missing: what to do where
    there is no file."""
    if not os.path.lexists(file):
        raise UserError(f"{file}: missing; {missing}")
    out, seen = [], {}
    for number, tree in json_lines(file):
        row = validated(Row, tree, f"{file}:{number}")
        if row.id in seen:
            raise UserError(
                f"{file}:{number}: id: {row.id!r} stands in line {seen[row.id]}, too; give every row one of its own"
            )
        seen[row.id] = number
        out.append(row)
    return out


def of_kind(rows: Iterable[Row], kind: str, seed: int | None = None, chance: float | None = None) -> list[Row]:
    """The rows of a kind and openness, in their order: all, or those that a training with this seed answers."""
    return [r for r in rows if r.kind == kind and r.chance == chance and (seed is None or r.seed in (None, seed))]
