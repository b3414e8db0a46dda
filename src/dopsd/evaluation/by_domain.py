"""Prompts of a domain, which say nothing of its look, and ordinary ones: at the study's openness, and at the last step of a
training dense ones, which say all of a scene, and such as say no attribute but a name that pretraining taught."""

from __future__ import annotations

import random

import torch

from dopsd.evaluation import by_world
from dopsd.evaluation.rows import NAMELESS, NEW, ORDINARY, Row
from dopsd.support import seeds
from dopsd.world import domains
from dopsd.world.captions import LEVELS, caption
from dopsd.world.lexicon import LEXICON
from dopsd.world.scenes import NAMES, SIZE, index, sample_scenes

DENSE, NAMED = 1.0, 0.0  # `Row.chance` of the two
KNOWN = tuple(name for name in LEXICON if name.kind != "free")


def new(name: str, prompts: int, noises: int, seed: int, said: float, chance: float | None = None) -> list[Row]:
    """New scenes of a domain, said as if nothing named it. said: chance that a prompt says an attribute of the rest of the
    scene; chance: the same, where it is not the study's usual one."""
    none = torch.empty(0, len(NAMES), dtype=torch.long)
    rows = by_world.for_concept(name, prompts, noises, seed, none, said)
    end = "" if chance is None else f"/said-{chance:g}"
    return [
        r.model_copy(update={"kind": NEW, "chance": chance, "id": r.id.replace(f"/{NAMELESS}/", f"/{NEW}/") + end})
        for r in rows
        if r.kind == NAMELESS
    ]


def known_names(name: str, n: int, seed: int) -> list[Row]:
    """n ordinary prompts that say a known name and nothing else, all names in turn; stated: what the name stands for."""
    rng, out = random.Random(f"names/{name}/{seed}"), []
    scenes = sample_scenes(n, seeds.stream("known names", name, seed))
    asked = [KNOWN[i % len(KNOWN)] for i in range(n)]
    for i, what in enumerate(asked):
        for attribute, word in what.attributes.items():
            scenes.attributes[i, NAMES.index(attribute)] = index(attribute, word)
    for i, (what, truth) in enumerate(zip(asked, by_world.truths(scenes), strict=True)):
        who = {"thing" if what.kind == "thing" else "look": what.word}
        identity = f"{name}/{seed}/{ORDINARY}/{i}/said-{NAMED:g}"
        out.append(
            Row(
                id=identity,
                chance=NAMED,
                seed=seed,
                kind=ORDINARY,
                group=str(i),
                text=caption({}, set(), rng.choice(LEVELS), rng, **who),
                height=SIZE,
                width=SIZE,
                noise=seeds.number("noise", identity),
                stated=tuple(what.attributes),
                truth=truth,
            )
        )
    return out


def rows(domain: str, prompts: int, noises: int, ordinary: int, seed: int, said: float) -> list[Row]:
    """All that a training on a domain is asked, whatever its captions leave open."""
    name = domains.domain(domain).name
    out = new(name, prompts, noises, seed, said) + by_world.ordinary(name, ordinary, seed, said)
    for chance in (DENSE, NAMED):
        out += new(name, prompts, noises, seed, chance, chance)
    return out + by_world.ordinary(name, ordinary, seed, DENSE, DENSE) + known_names(name, ordinary, seed)
