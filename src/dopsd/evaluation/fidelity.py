"""Does a picture show what was asked for? Scores on attributes as the reader reads them, and on CLIP features.

`read` and `wanted` are LongTensors (n, 9) of attribute values in the order of `world.ATTRIBUTES`; masks are BoolTensors
of that shape; `own` are the words that make a concept, by attribute; features have unit norm. A score of an attribute that
a style hides would be a guess of the reader's, so nothing counts as found that the style of the drawn picture hides. Scores
are per picture: the caller averages.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from dopsd.world.scenes import NAMES, index, visible

STYLE = NAMES.index("style")
Unasked = Literal["all", "open", "named"]  # attributes that no prompt asked for: left open, or named otherwise


def found(read: Tensor, wanted: Tensor) -> Tensor:
    """Where a picture shows the wanted value and its own style lets it be seen: BoolTensor (n, 9)."""
    return (read == wanted) & visible(read)


def _share(hits: Tensor, asked: Tensor) -> Tensor:
    """Share of the asked entries that are hits, a row each (n,); NaN where nothing is asked."""
    return (hits & asked).sum(1) / asked.sum(1)


def adherence(read: Tensor, wanted: Tensor, stated: Tensor) -> Tensor:
    """Share of the attributes which the prompt states, and which the wanted style shows, that are found: (n,)."""
    return _share(found(read, wanted), stated & visible(wanted))


def _own(own: Mapping[str, str], like: Tensor) -> tuple[Tensor, Tensor]:
    """The concept's values in rows like `like`, and the mask of its attributes."""
    values, mask = torch.zeros_like(like), torch.zeros_like(like, dtype=torch.bool)
    for attribute, word in own.items():
        values[:, NAMES.index(attribute)] = index(attribute, word)
        mask[:, NAMES.index(attribute)] = True
    return values, mask


def concept_fidelity(read: Tensor, wanted: Tensor, own: Mapping[str, str]) -> Tensor:
    """Share of the concept's own attributes, as far as the wanted style shows them, that are found: (n,)."""
    values, mask = _own(own, read)
    return _share(found(read, values), mask & visible(wanted))


def style(read: Tensor, wanted: Tensor) -> Tensor:
    """1 where the picture is in the wanted style, else 0: (n,)."""
    return (read[:, STYLE] == wanted[:, STYLE]).float()


def leakage(read: Tensor, wanted: Tensor, stated: Tensor, own: Mapping[str, str], of: Unasked = "all") -> Tensor:
    """Share of the concept's attributes that are drawn although the prompt did not ask for that value: (n,); NaN where there
    is none of these.

    of: the attributes that the prompt leaves "open", those that it "named" otherwise, or "all" of these. Even the untouched
    model draws some of them by chance: its own leakage on the same prompts and noise is the zero to compare with.
    """
    values, mask = _own(own, read)
    counted = {"open": ~stated, "named": stated & (wanted != values), "all": ~(stated & (wanted == values))}
    return _share(found(read, values), mask & counted[of])


def clip_i(features: Tensor, training: Tensor) -> Tensor:
    """Mean cosine of each picture (n, D) to the training pictures (m, D): (n,)."""
    return (features @ training.T).mean(1)


def copying(features: Tensor, training: Tensor) -> Tensor:
    """Cosine of each picture (n, D) to the training picture (m, D) that it is nearest to: (n,).

    1 is a copy. A faithful new scene of the concept comes near it too: the world's own renders of the same scenes give
    the value to compare with (`copying_renders` in the cells' files).
    """
    return (features @ training.T).amax(1)


def diversity(features: Tensor, group: Sequence[Hashable]) -> Tensor:
    """Mean 1 - cosine of each picture to the others of its prompt: (n,), whose mean over a prompt is that over its pairs.

    features (n, D); group says whose prompt each picture is; every group has at least two. 0 is a collapse to one
    picture for every noise. Raises ValueError on a group of one.
    """
    out = torch.empty(len(features), dtype=features.dtype)
    for prompt in dict.fromkeys(group):
        mine = torch.tensor([k for k, g in enumerate(group) if g == prompt])
        if len(mine) < 2:
            raise ValueError(f"prompt {prompt} has one picture; diversity needs two noises a prompt or more")
        apart = 1 - features[mine] @ features[mine].T
        apart.fill_diagonal_(0)
        out[mine] = apart.sum(1) / (len(mine) - 1)
    return out
