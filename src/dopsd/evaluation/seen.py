"""Pictures that are seen beside a prompt; and pictures that no model draws, whose scores are known.

A seen picture shows its concept, and a scene that is not asked for. Which is which its training set tells: what all of its
pictures share is the concept's, what they differ in is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dopsd.config.contexts import Sees
from dopsd.evaluation import by_world
from dopsd.evaluation.rows import Row
from dopsd.support.pictures import from_bytes, to_bytes
from dopsd.support.seeds import stream
from dopsd.world import concepts, damage
from dopsd.world.concepts import ConceptPictures

LEFT = 0.5  # of a faded picture's contrast
KNOWN: dict[str, str] = {  # pictures that no model draws, and what they are called
    "renders": "Known: the scene's render",
    "copies": "Known: the seen picture",
    "swapped": "Known: another concept",
    "fogged": "Known: blurred, faded",
    "noise": "Known: noise",
}


@dataclass(frozen=True)
class Seen:
    """What n prompts have beside them. images (n, 3, 64, 64) in [-1, 1], as files hold them; attributes (n, 9) of what they
    show; varies (9,): which of these the concept's pictures differ in; own: the concept's, in words."""

    images: Tensor
    attributes: Tensor
    varies: Tensor
    own: Mapping[str, str]


def _as_kept(images: Tensor) -> Tensor:
    return from_bytes(to_bytes(images))


def _scenes(rows: Sequence[Row], of: ConceptPictures) -> Tensor:
    """The rows' own scenes, as the world draws them: (n, 3, 64, 64)."""
    return _as_kept(concepts.pictures(of.concept, by_world.scenes_of(rows)))


def beside(sees: Sees | None, rows: Sequence[Row], mine: ConceptPictures, other: ConceptPictures) -> Seen:
    """What stands beside each row. mine, other: the training pictures of its concept, and of the one that is shown in the
    place of it. Of a context that sees none, or a grey one, what a teacher would have seen: its pictures are held against
    that."""
    of = other if sees == "other" else mine
    varies = (of.attributes != of.attributes[0]).any(0)
    if sees == "target":
        images, attributes = _scenes(rows, mine), by_world.scenes_of(rows).attributes
    else:
        turn = (torch.arange(len(rows)) + (sees == "next")) % len(of.images)
        images, attributes = of.images[turn], of.attributes[turn]
    if sees == "blank":
        images = _as_kept(torch.zeros_like(images))
    return Seen(images, attributes, varies, of.concept.attributes)


def known(
    name: str, rows: Sequence[Row], others: Sequence[Row], mine: ConceptPictures, other: ConceptPictures
) -> Tensor:
    """The pictures (n, 3, 64, 64) of one of `KNOWN`. others: the rows of the other concept, as many. ValueError on another
    name."""
    if name == "renders":
        return _scenes(rows, mine)
    if name == "copies":
        return beside("training", rows, mine, other).images
    if name == "swapped":
        return _scenes(others, other)
    if name == "fogged":
        n = len(rows)
        blurred = damage.blur(_scenes(rows, mine), torch.full((n,), damage.BLUR))
        return _as_kept(damage.faded(blurred, torch.full((n,), LEFT)))
    if name == "noise":
        shape = _scenes(rows, mine).shape
        return _as_kept(2 * torch.rand(shape, generator=stream("noise for pictures", rows[0].id)) - 1)
    raise ValueError(f"unknown pictures {name!r}; known: {tuple(KNOWN)}")
