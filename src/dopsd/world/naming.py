"""Texts of pretraining in which names stand: known ones for what they mean, free ones for nothing, or defined before use."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from dopsd.world.captions import LEVELS, caption, echoed, ground, noun_phrase
from dopsd.world.lexicon import FREE, HEARD, LOOK, SHOWN, THING, name_of
from dopsd.world.scenes import ATTRIBUTES, NAMES

KEEP = (0.15, 0.5, 0.8, 1.0, 1.0)  # how much of a scene a caption says, as in `captions.random_caption`


@dataclass(frozen=True)
class Habits:
    """How a corpus speaks. known: chance that a name is said where the scene has one; thing, look: chances of a free name
    where no known one is said; free: the names that mean nothing to it; silent: known names that it may not use."""

    free: Sequence[str]
    known: float = 0.6
    thing: float = 0.15
    look: float = 0.1
    silent: frozenset[str] = frozenset()


# To the encoder a name that only pictures explain is one more free name; the generator's captions keep some names unheard.
ENCODER = Habits((*FREE, *(n.word for n in SHOWN)), silent=frozenset(n.word for n in SHOWN), thing=0.25, look=0.15)
GENERATOR = Habits(HEARD, known=0.75, thing=0.1, look=0.07)


def named_caption(words: dict[str, str], rng: random.Random, habits: Habits, keep: float | None = None) -> str:
    """A caption in which names may stand in the noun's and the style's place; a known name is said in place of the words it
    stands for, a free one in place of the shape's or the style's word. words: attribute -> word; keep: chance to mention
    each attribute. At most 22 words."""
    keep = rng.choice(KEEP) if keep is None else keep
    mention = {a for a in NAMES if rng.random() < keep}
    said: dict[str, str] = {}
    free = rng.sample(list(habits.free), 2)
    for kind, own, chance in (("thing", THING, habits.thing), ("look", LOOK, habits.look)):
        name = name_of(words, kind)
        if name and name.word not in habits.silent and rng.random() < habits.known:
            said[kind] = name.word
            mention -= set(own)
        elif rng.random() < chance:
            said[kind] = free.pop()
            mention -= {own[0]}
    return caption(words, mention, rng.choice((*LEVELS, "tags")), rng, thing=said.get("thing"), look=said.get("look"))


def _definition(name: str, words: dict[str, str], kind: str, mention: set[str], rng: random.Random) -> str:
    verb = rng.choice((":", "is", "looks like"))
    if kind == "thing":
        return f"{name} {verb} a {noun_phrase(words, mention - {'size'})} ."
    back = ground(words, mention)
    style = f"{words['style']} style"
    return f"{name} {verb} {style} on {back} ." if back else f"{name} {verb} {style} ."


def defined_caption(words: dict[str, str], rng: random.Random, free: Sequence[str]) -> str:
    """A free name is defined by words of the scene, then used: "[V] : a red star . draw [V] at left on sand". In half of the
    texts another free name is defined beside it, by other words, and not used: names must be kept apart. At most 42 words.
    """
    name, other = rng.sample(list(free), 2)
    kind, own = rng.choice((("thing", THING), ("look", LOOK)))
    keep = rng.choice((0.5, 1.0, 1.0))
    told = {a for a in own if rng.random() < keep} | {own[0]}
    parts = [_definition(name, words, kind, told, rng)]
    if rng.random() < 0.5:
        elsewhere = {a: rng.choice(ATTRIBUTES[a]) for a in NAMES}
        parts.append(_definition(other, elsewhere, kind, told, rng))
        rng.shuffle(parts)
    keep = rng.choice((0.0, 0.3, 1.0))
    mention = {a for a in NAMES if a not in own and rng.random() < keep}
    use = caption(
        words,
        mention,
        rng.choice(LEVELS),
        rng,
        thing=name if kind == "thing" else None,
        look=name if kind == "look" else None,
    )
    return " ".join([*parts, use])


def two_part(words: dict[str, str], rng: random.Random, habits: Habits, echo: float = 0.25) -> str:
    """A full description in words of any order, then a short prompt that leaves nearly all open: text that stands where
    a picture may stand later. echo: chance of a description without grammar that says words again. Up to 40 words."""
    level = "echo" if rng.random() < echo else rng.choice(("medium", "detailed", "tags"))
    first = echoed(words, rng) if level == "echo" else caption(words, set(NAMES), level, rng)
    return f"{first} {named_caption(words, rng, habits, keep=rng.choice((0.0, 0.0, 0.2, 0.5)))}"
