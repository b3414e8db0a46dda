"""Prompts that the miniature's world makes, with the scene that each was made of."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from dopsd.evaluation.rows import NAMELESS, NEW, ORDINARY, OTHER, PLACEHOLDER, Row, Truth
from dopsd.support import seeds
from dopsd.world.captions import LEVELS, caption, concept_caption
from dopsd.world.concepts import concept_scenes
from dopsd.world.outside import OUTSIDE, Concept
from dopsd.world.scenes import ATTRIBUTES, NAMES, SIZE, Scenes, holds, index, sample_scenes, visible

OTHER_NAME = "namon"  # as unheard as "[V]", the most neutral after it, and never trained


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


def mentions(scenes: Scenes, said: float, rng: random.Random, own: Sequence[str] = ()) -> list[set[str]]:
    """Which attributes a prompt of each scene says: each with chance `said`, and one at least that the scene's style shows;
    none of `own`, which the concept's name stands for."""
    out = []
    for shown in visible(scenes.attributes).tolist():
        free = [a for a in NAMES if a not in own]
        can = [a for a, seen in zip(NAMES, shown, strict=True) if seen and a in free]
        mention = {a for a in free if rng.random() < said}
        out.append(mention if mention & set(can) else mention | {rng.choice(can)})
    return out


def ordinary(concept: str, n: int, seed: int, said: float, chance: float | None = None) -> list[Row]:
    """n prompts without "[V]" for scenes that show no concept of `outside`, a block of their own for each concept and seed.
    said: chance that a prompt says an attribute; chance: the same, where it is not the study's usual one (`Row.chance`): the
    scenes and their noise are those of the usual one."""
    scenes = sample_scenes(n, seeds.stream("ordinary", concept, seed))
    rng = random.Random(f"{concept}/{seed}")
    out = []
    told = mentions(scenes, said, random.Random(f"ordinary/{concept}/{seed}/{said}"))
    for i, (words, truth, mention) in enumerate(zip(scenes.words(), truths(scenes), told, strict=True)):
        text = caption(words, mention, rng.choice(LEVELS), rng)
        name = f"{concept}/{seed}/{ORDINARY}/{i}"
        out.append(_row(name, seed, ORDINARY, str(i), text, None, mention, truth, chance))
    return out


def for_concept(
    name: str, prompts: int, noises: int, seed: int, training: Tensor, said: float, chance: float | None = None
) -> list[Row]:
    """New scenes of a concept: `prompts` prompts, `noises` noises each, a prompt's noises side by side; then, as many of
    each, the same scenes and noise with "thing" (or no style) in the name's place (`NAMELESS`), and with another free name
    (`OTHER`), where `chance` is None. said: chance that a prompt says an attribute of the rest of the scene; chance: as in
    `ordinary`.

    `stated` leaves the concept's own attributes out, also where it is spelled out, so that adherence means the same for
    every method. training: attribute rows (m, 9) that must not come again.
    """
    concept = OUTSIDE[name]
    scenes = concept_scenes(concept, prompts + len(training), seeds.stream("scenes", name, seed))
    new = ~(scenes.attributes[:, None] == training[None]).all(2).any(1)
    scenes = scenes[new.nonzero()[:prompts, 0]]
    assert holds(scenes.attributes, concept.attributes).all()
    told = mentions(scenes, said, random.Random(f"{name}/{seed}/{said}"), _names_for(concept))
    described = _texts(scenes.words(), told, concept, seed, PLACEHOLDER, described=True)
    out = []
    kinds = ((NEW, PLACEHOLDER), (NAMELESS, None), (OTHER, OTHER_NAME))
    for kind, word in kinds if chance is None else kinds[:1]:
        texts = _texts(scenes.words(), told, concept, seed, word)
        for i, truth in enumerate(truths(scenes)):
            for k in range(noises):
                number = i * noises + k
                who = f"{name}/{seed}/{kind}/{number}"
                row = _row(who, seed, kind, str(i), texts[i], described[i], told[i], truth, chance)
                noise = seeds.number("noise", f"{name}/{seed}/{NEW}/{number}")  # one noise for all three
                out.append(row.model_copy(update={"noise": noise}))
    return out


def _names_for(concept: Concept) -> list[str]:
    """The attributes that a concept's name stands for: a look without words takes the style's place."""
    return list(concept.attributes) or ["style"]


def _texts(
    words: list[dict[str, str]],
    told: list[set[str]],
    concept: Concept,
    seed: int,
    name: str | None,
    described: bool = False,
) -> list[str]:
    rng = random.Random(seed)  # the same levels and verbs, whoever is named, spelled out or not
    return [
        concept_caption(concept, w, rng.choice(LEVELS), rng, described, name, mention=m)
        for w, m in zip(words, told, strict=True)
    ]


def _row(
    name: str,
    seed: int,
    kind: str,
    group: str,
    text: str,
    described: str | None,
    told: set[str],
    truth: Truth,
    chance: float | None,
) -> Row:
    return Row.model_validate(
        {
            "id": name if chance is None else f"{name}/said-{chance:g}",
            "chance": chance,
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
    return [caption({}, set(), rng.choice(LEVELS), rng, **{("thing", "look")[i % 2]: PLACEHOLDER}) for i in range(n)]
