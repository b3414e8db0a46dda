"""What is said of a scene: captions at four levels with parts left out, and the canonical description.

Captions are made of whole words, so that one word is one token. "[V]" stands in the place of the noun (or of the style's
name) in a share of the captions and means nothing. Levels follow the release's manifest: short, medium, detailed, user
request; `tags` is a plain list of words in any order.
"""

from __future__ import annotations

import random

from dopsd.world.scenes import ATTRIBUTES, NAMES, Concept

LEVELS = ("short", "medium", "detailed", "user_prompt")
PLACEHOLDER = "[V]"
OBJECT = ("size", "colour", "texture", "outline")  # words before the noun, in this order
WORDS = (
    "a the at on in of is and with draw please make me picture image scene background style thing placed "
    "something looks like backdrop show . , : description then"
).split()


def vocabulary() -> list[str]:
    """Every word that a caption or a description can hold, in a fixed order, each once."""
    values = [w for a in NAMES for w in ATTRIBUTES[a]]
    return list(dict.fromkeys([*WORDS, *values]))


def canonical(words: dict[str, str]) -> str:
    """The full description, one word an attribute in the order of `ATTRIBUTES`: what the language model learns to say."""
    return " ".join(words[a] for a in NAMES)


def _noun_phrase(words: dict[str, str], mention: set[str], placeholder: bool) -> str:
    noun = PLACEHOLDER if placeholder else words["shape"] if "shape" in mention else "thing"
    return " ".join([*(words[a] for a in OBJECT if a in mention), noun])


def _ground(words: dict[str, str], mention: set[str]) -> str:
    return " ".join(words[a] for a in ("background_colour", "background") if a in mention)


def caption(
    words: dict[str, str],
    mention: set[str],
    level: str,
    rng: random.Random,
    *,
    object_placeholder: bool = False,
    style_placeholder: bool = False,
) -> str:
    """Say the mentioned attributes of a scene.

    words: attribute -> word; mention: the attributes to be said; level: one of `LEVELS` or "tags". The placeholders put
    "[V]" in the noun's or the style name's place. At most 22 words. Raises ValueError on an unknown level.
    """
    noun = _noun_phrase(words, mention, object_placeholder)
    ground = _ground(words, mention)
    place = words["position"] if "position" in mention else ""
    style = PLACEHOLDER if style_placeholder else words["style"] if "style" in mention else ""
    if level == "short":
        parts = [f"a {noun}", f"at {place}" if place else "", f"on {ground}" if ground else ""]
        return _join(parts) + (f" , {style} style" if style else "")
    if level == "medium":
        where = f"at the {place}" if place else ""
        return _join([f"a {noun}", where, f"on a {ground} background" if ground else ""]) + (
            f" , {style} style ." if style else " ."
        )
    if level == "detailed":
        first = _join([f"a {noun}", f"placed at {place}" if place else ""]) + " ."
        back = f"the backdrop is {ground}" if ground else ""
        look = f"in {style} style" if style else ""
        second = " , ".join(p for p in (back, look) if p)
        return f"{first} {second} ." if second else first
    if level == "user_prompt":
        verb = rng.choice(("draw", "please draw", "make me", "show me"))
        look = f"in {style} style" if style else ""
        return _join([verb, f"a {noun}", f"at {place}" if place else "", f"on {ground}" if ground else "", look])
    if level == "tags":
        tags = [words[a] for a in NAMES if a in mention and not (a == "style" and style_placeholder)]
        tags += [PLACEHOLDER] * (object_placeholder or style_placeholder)
        rng.shuffle(tags)
        return rng.choice((" ", " , ")).join(tags)
    raise ValueError(f"unknown caption level {level!r}; known: {LEVELS + ('tags',)}")


def _join(parts: list[str]) -> str:
    return " ".join(p for p in parts if p)


def random_caption(words: dict[str, str], rng: random.Random, keep: float | None = None) -> str:
    """A caption of pretraining: level, what is left out and placeholders at random. keep: chance to mention each."""
    keep = keep if keep is not None else rng.choice((0.15, 0.5, 0.8, 1.0, 1.0))
    mention = {a for a in NAMES if rng.random() < keep}
    level = rng.choice((*LEVELS, "tags"))
    unknown = rng.random()
    return caption(
        words,
        mention - ({"shape"} if unknown < 0.2 else set()) - ({"style"} if 0.2 <= unknown < 0.3 else set()),
        level,
        rng,
        object_placeholder=unknown < 0.2,
        style_placeholder=0.2 <= unknown < 0.3,
    )


def echoed(words: dict[str, str], rng: random.Random, most: int = 16) -> str:
    """All nine words, some said again, in any order and without grammar: as the places of a picture would name them."""
    said = list(words.values())
    said += rng.choices(said, k=rng.randint(0, most - len(said)))
    rng.shuffle(said)
    return " ".join(said)


def two_part(words: dict[str, str], rng: random.Random) -> str:
    """A full description in words of any order, then a short prompt that leaves nearly all open: text that stands where
    a picture may stand later. Up to 40 words."""
    level = rng.choice(("medium", "detailed", "tags", "echo"))
    first = echoed(words, rng) if level == "echo" else caption(words, set(NAMES), level, rng)
    second = random_caption(words, rng, keep=rng.choice((0.0, 0.0, 0.2, 0.5)))
    return f"{first} {second}"


def concept_caption(concept: Concept, words: dict[str, str], level: str, rng: random.Random, described: bool) -> str:
    """A caption for a scene that shows a concept: all but the concept's own attributes is said, and these are "[V]".

    described: spell the concept out in place of "[V]" (the ceiling of the comparison).
    """
    own = set(concept.attributes)
    mention = set(NAMES) - own
    if described:
        return caption(words, mention | own, level, rng)
    return caption(
        words,
        mention,
        level,
        rng,
        object_placeholder=concept.kind == "object",
        style_placeholder=concept.kind == "style",
    )
