"""What the evaluation asks for: prompts, the scenes they describe, and the noise to draw them from.

Everything here is a pure function of a seed and a name, so every method answers the same prompts from the same noise.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch import Tensor

from dopsd.support.seeds import stream
from dopsd.world.captions import LEVELS, caption, concept_caption
from dopsd.world.concepts import concept_scenes
from dopsd.world.scenes import CONCEPTS, NAMES, Scenes, holds, sample_scenes

KEEP = (0.5, 0.8, 1.0)  # how much of a scene an ordinary prompt says: each attribute with one of these chances


@dataclass(frozen=True)
class Prompts:
    """texts: n prompts; scenes: what each asks for; stated: BoolTensor (n, 9), the attributes that it says; group:
    LongTensor (n,), equal where a prompt is repeated for another noise; name: names the noise."""

    texts: list[str]
    scenes: Scenes
    stated: Tensor
    group: Tensor
    name: str

    def noise(self, shape: tuple[int, ...], seed: int) -> Tensor:
        """Standard normal noise (n, *shape), the same for every method."""
        return torch.randn(len(self.texts), *shape, generator=stream("noise", self.name, seed))


def ordinary(n: int, seed: int) -> Prompts:
    """n prompts without "[V]" for scenes that show no concept; each leaves some attributes open."""
    scenes = sample_scenes(n, stream("ordinary", seed))
    rng = random.Random(seed)
    texts, stated = [], torch.zeros(n, len(NAMES), dtype=torch.bool)
    for i, words in enumerate(scenes.words()):
        keep = rng.choice(KEEP)
        mention = {a for a in NAMES if rng.random() < keep} or {"shape"}
        texts.append(caption(words, mention, rng.choice(LEVELS), rng))
        stated[i] = torch.tensor([a in mention for a in NAMES])
    return Prompts(texts, scenes, stated, torch.arange(n), "ordinary")


def for_concept(
    name: str, prompts: int, noises: int, seed: int, *, described: bool, training: Tensor | None = None
) -> Prompts:
    """New scenes of a concept: `prompts` prompts, `noises` noises each, a prompt's noises side by side.

    described: the concept spelled out in place of "[V]". `stated` leaves the concept's own attributes out either way,
    so that adherence means the same for every method. training: attribute rows (m, 9) that must not come again.
    """
    concept = CONCEPTS[name]
    known = training if training is not None else torch.zeros(0, len(NAMES), dtype=torch.long)
    scenes = concept_scenes(concept, prompts + len(known), stream("scenes", name, seed))
    new = ~(scenes.attributes[:, None] == known[None]).all(2).any(1)
    scenes = scenes[new.nonzero()[:prompts, 0]]
    rng = random.Random(seed)
    texts = [concept_caption(concept, words, rng.choice(LEVELS), rng, described) for words in scenes.words()]
    group = torch.arange(prompts).repeat_interleave(noises)
    stated = torch.tensor([a not in concept.attributes for a in NAMES]).expand(prompts * noises, -1)
    assert holds(scenes.attributes, concept.attributes).all()
    return Prompts([texts[i] for i in group], scenes[group], stated, group, name)


def open_prompts(n: int, seed: int) -> list[str]:
    """n prompts that say "[V]" and nothing else: half of them for the object, half for the style."""
    rng = random.Random(seed)
    return [
        caption({}, set(), rng.choice(LEVELS), rng, object_placeholder=i % 2 == 0, style_placeholder=i % 2 == 1)
        for i in range(n)
    ]
