"""Prompts that the miniature's world makes, with the scene that each was made of."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from dopsd.evaluation.rows import NEW, ORDINARY, Row, Truth
from dopsd.support import seeds
from dopsd.world.captions import LEVELS, caption, concept_caption
from dopsd.world.concepts import concept_scenes
from dopsd.world.scenes import ATTRIBUTES, CONCEPTS, NAMES, SIZE, Scenes, holds, index, sample_scenes

KEEP = (0.5, 0.8, 1.0)  # how much of a scene an ordinary prompt says: each attribute with one of these chances


def truths(scenes: Scenes) -> list[Truth]:
    """Scenes as rows keep them: nine digits bring a float32 back to the bit."""
    free = [tuple(float(f"{x:.9g}") for x in row) for row in scenes.free.tolist()]
    return [Truth(attributes=words, free=f) for words, f in zip(scenes.words(), free, strict=True)]


def scenes_of(rows: Sequence[Row]) -> Scenes:
    """The scenes of rows that have a truth: attributes (n, 9), free numbers (n, FREE)."""
    known = [r.truth for r in rows]
    attributes = [[index(a, t.attributes[a]) for a in NAMES] for t in known if t]
    return Scenes(torch.tensor(attributes), torch.tensor([t.free for t in known if t]))


def stated(rows: Sequence[Row]) -> Tensor:
    """BoolTensor (n, 9): the attributes that each text states, the concept's own apart."""
    return torch.tensor([[a in r.stated for a in NAMES] for r in rows])


def ordinary(n: int, seed: int) -> list[Row]:
    """n prompts without "[V]" for scenes that show no concept; each leaves some attributes open."""
    scenes = sample_scenes(n, seeds.stream("ordinary", seed))
    rng = random.Random(seed)
    out = []
    for i, (words, truth) in enumerate(zip(scenes.words(), truths(scenes), strict=True)):
        keep = rng.choice(KEEP)
        mention = {a for a in NAMES if rng.random() < keep} or {"shape"}
        text = caption(words, mention, rng.choice(LEVELS), rng)
        name = f"ordinary/{seed}/{i}"
        out.append(_row(name, seed, ORDINARY, str(i), text, None, mention, truth))
    return out


def for_concept(name: str, prompts: int, noises: int, seed: int, training: Tensor) -> list[Row]:
    """New scenes of a concept: `prompts` prompts, `noises` noises each, a prompt's noises side by side.

    `stated` leaves the concept's own attributes out, also where it is spelled out, so that adherence means the same for
    every method. training: attribute rows (m, 9) that must not come again.
    """
    concept = CONCEPTS[name]
    scenes = concept_scenes(concept, prompts + len(training), seeds.stream("scenes", name, seed))
    new = ~(scenes.attributes[:, None] == training[None]).all(2).any(1)
    scenes = scenes[new.nonzero()[:prompts, 0]]
    assert holds(scenes.attributes, concept.attributes).all()
    named, described = (_texts(scenes.words(), concept, seed, spelled) for spelled in (False, True))
    told, out = [a for a in NAMES if a not in concept.attributes], []
    for i, truth in enumerate(truths(scenes)):
        for k in range(noises):
            name_of_row = f"{name}/{seed}/new/{i * noises + k}"
            out.append(_row(name_of_row, seed, NEW, str(i), named[i], described[i], set(told), truth))
    return out


def _texts(words: list[dict[str, str]], concept, seed: int, described: bool) -> list[str]:
    rng = random.Random(seed)  # the same levels and verbs, spelled out or not
    return [concept_caption(concept, w, rng.choice(LEVELS), rng, described) for w in words]


def _row(
    name: str, seed: int, kind: str, group: str, text: str, described: str | None, told: set[str], truth: Truth
) -> Row:
    return Row.model_validate(
        {
            "id": name,
            "seed": seed,
            "kind": kind,
            "group": group,
            "text": text,
            "described": described,
            "height": SIZE,
            "width": SIZE,
            "noise": seeds.number("noise", name),
            "said": len(told) / len(ATTRIBUTES),
            "stated": tuple(a for a in NAMES if a in told),
            "truth": truth,
        }
    )


def open_prompts(n: int, seed: int) -> list[str]:
    """n prompts that say "[V]" and nothing else: half of them for the object, half for the style."""
    rng = random.Random(seed)
    return [
        caption({}, set(), rng.choice(LEVELS), rng, object_placeholder=i % 2 == 0, style_placeholder=i % 2 == 1)
        for i in range(n)
    ]
