"""Does a picture show what was asked for? Scores on attributes as the reader reads them, and on CLIP features.

`read` and `wanted` are LongTensors (n, 9) of attribute values in the order of `world.ATTRIBUTES`; masks are BoolTensors
of that shape; features have unit norm. A score of an attribute that a style hides would be a guess of the reader's, so
nothing counts as found that the style of the drawn picture hides. Scores are per picture: the caller averages.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dopsd.world.scenes import NAMES, Concept, index, visible

STYLE = NAMES.index("style")


def found(read: Tensor, wanted: Tensor) -> Tensor:
    """Where a picture shows the wanted value and its own style lets it be seen: BoolTensor (n, 9)."""
    return (read == wanted) & visible(read)


def _share(hits: Tensor, asked: Tensor) -> Tensor:
    """Share of the asked entries that are hits, a row each (n,); NaN where nothing is asked."""
    return (hits & asked).sum(1) / asked.sum(1)


def adherence(read: Tensor, wanted: Tensor, stated: Tensor) -> Tensor:
    """Share of the attributes which the prompt states, and which the wanted style shows, that are found: (n,)."""
    return _share(found(read, wanted), stated & visible(wanted))


def _own(concept: Concept, like: Tensor) -> tuple[Tensor, Tensor]:
    """The concept's values in rows like `like`, and the mask of its attributes."""
    values, mask = torch.zeros_like(like), torch.zeros_like(like, dtype=torch.bool)
    for attribute, word in concept.attributes.items():
        values[:, NAMES.index(attribute)] = index(attribute, word)
        mask[:, NAMES.index(attribute)] = True
    return values, mask


def concept_fidelity(read: Tensor, wanted: Tensor, concept: Concept) -> Tensor:
    """Share of the concept's own attributes, as far as the wanted style shows them, that are found: (n,)."""
    values, mask = _own(concept, read)
    return _share(found(read, values), mask & visible(wanted))


def style(read: Tensor, wanted: Tensor) -> Tensor:
    """1 where the picture is in the wanted style, else 0: (n,)."""
    return (read[:, STYLE] == wanted[:, STYLE]).float()


def leakage(read: Tensor, wanted: Tensor, stated: Tensor, concept: Concept) -> Tensor:
    """Share of the concept's attributes that are drawn although the prompt did not ask for that value: (n,).

    Counts attributes that the prompt leaves open or states otherwise. Even the untouched model draws some of them by
    chance: its own leakage on the same prompts and noise (in the tables' base rows) is the zero to compare with.
    """
    values, mask = _own(concept, read)
    asked_for = stated & (wanted == values)
    return _share(found(read, values), mask & ~asked_for)


def clip_i(features: Tensor, training: Tensor) -> Tensor:
    """Mean cosine of each picture (n, D) to the training pictures (m, D): (n,)."""
    return (features @ training.T).mean(1)


def copying(features: Tensor, training: Tensor) -> Tensor:
    """Cosine of each picture (n, D) to the training picture (m, D) that it is nearest to: (n,).

    1 is a copy. A faithful new scene of the concept comes near it too: the world's own renders of the same scenes give
    the value to compare with (`copying_renders` in the cells' files).
    """
    return (features @ training.T).amax(1)


def diversity(features: Tensor, group: Tensor) -> Tensor:
    """Mean pairwise 1 - cosine among the pictures of one prompt, for each prompt: (number of prompts,).

    features (n, D); group (n,) says whose prompt each picture is; every group has at least two. 0 is a collapse to one
    picture for every noise. Raises ValueError on a group of one.
    """
    out = []
    for prompt in group.unique():
        mine = features[group == prompt]
        if len(mine) < 2:
            raise ValueError(f"prompt {int(prompt)} has one picture; diversity needs two noises a prompt or more")
        i, j = torch.triu_indices(len(mine), len(mine), 1)
        out.append((1 - (mine[i] * mine[j]).sum(1)).mean())
    return torch.stack(out)
