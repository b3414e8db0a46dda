"""What a method must be given before it trains, beyond a set and a model: `training/prepared.py` makes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from dopsd.method.context import Condition, Context


@dataclass(frozen=True)
class Preparation:
    """base: the training is on the undistilled model, and what it gives is put on the few-step one. pictures: so many of the
    class, drawn by the untouched few-step model from "a <class>" in `rollout_steps` steps. prompts: contexts of the captions
    with the class's name in the place of "[V]". untouched: a second, untouched few-step model beside the student.

    adapter: made once for a few-step model, on `pictures` that it drew of ordinary prompts, in `steps` steps of `rate`:
    "undistilled", a LoRA that lets it forget its few steps, is on the student while it trains, and not in what it gives;
    "repair", a LoRA that brings these back on top of that one, joins what it gives.
    """

    base: bool = False
    pictures: int = 0
    rollout_steps: int = 1
    prompts: bool = False
    untouched: bool = False
    adapter: Literal["undistilled", "repair"] | None = None
    steps: int = 0
    rate: float = 0.0

    @property
    def forwards(self) -> int:
        """Of the generator, to draw the pictures of the class: for every training, an adapter's apart."""
        return 0 if self.adapter else self.pictures * self.rollout_steps


@dataclass(frozen=True)
class Prepared:
    """What was made. pictures: clean latents (m, C, h, w) of the class, and of; their prompt's context. prompts: contexts of
    the class. untouched: the untouched model's velocity, without a graph."""

    pictures: Tensor | None = None
    of: Condition | None = None
    prompts: Context = field(default_factory=list)
    untouched: Callable[[Tensor, Tensor, Context], Tensor] | None = None


def pick(noise: Tensor, n: int, place: int = 0) -> Tensor:
    """One of n for each sample, all equally likely: LongTensor (b,) on the noise's device.

    noise (b, C, h, w): one that nothing else uses, whose number at `place` says which, by the normal distribution's
    cumulative one: so a choice is a function of seed and step, as all of a batch is.
    """
    share = torch.special.ndtr(noise.flatten(1)[:, place].double())
    return (share * n).long().clamp(max=n - 1)
