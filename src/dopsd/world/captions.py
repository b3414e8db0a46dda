"""What is said of a scene: captions at four levels with parts left out, and the canonical description.

Captions are made of whole words, so that one word is one token. A name may stand in the place of the noun or of the
style's name: "[V]" or another (`world/naming.py` says when, in pretraining). Levels follow the release's manifest: short,
medium, detailed, user request; `tags` is a plain list of words in any order.
"""

from __future__ import annotations

import random

from dopsd.world.lexicon import NOTHING, PLACEHOLDER
from dopsd.world.outside import Concept
from dopsd.world.scenes import ATTRIBUTES, NAMES

LEVELS = ("short", "medium", "detailed", "user_prompt")
OBJECT = ("size", "colour", "texture", "outline")  # words before the noun, in this order
WORDS = (
    "a the at on in of is and with draw please make me picture image scene background style thing placed "
    "something looks like backdrop show . , : description then"
).split()


def vocabulary() -> list[str]:
    """Every word that a caption or a description can hold, names apart, in a fixed order, each once."""
    values = [w for a in NAMES for w in ATTRIBUTES[a]]
    return list(dict.fromkeys([*WORDS, *values]))


def canonical(words: dict[str, str]) -> str:
    """The full description, one word an attribute in the order of `ATTRIBUTES`: what the language model learns to say."""
    return " ".join(words[a] for a in NAMES)


def noun_phrase(words: dict[str, str], mention: set[str], name: str | None = None) -> str:
    """The mentioned words of the object; without a name or a shape it is `NOTHING`."""
    noun = name or (words["shape"] if "shape" in mention else NOTHING)
    return " ".join([*(words[a] for a in OBJECT if a in mention), noun])


def ground(words: dict[str, str], mention: set[str]) -> str:
    return " ".join(words[a] for a in ("background_colour", "background") if a in mention)


def caption(
    words: dict[str, str],
    mention: set[str],
    level: str,
    rng: random.Random,
    *,
    thing: str | None = None,
    look: str | None = None,
) -> str:
    """Say the mentioned attributes of a scene.

    words: attribute -> word; mention: the attributes to be said; level: one of `LEVELS` or "tags"; thing, look: names that
    stand in the noun's and in the style name's place. At most 22 words. Raises ValueError on an unknown level.
    """
    noun, back = noun_phrase(words, mention, thing), ground(words, mention)
    place = words["position"] if "position" in mention else ""
    style = look or (words["style"] if "style" in mention else "")
    if level == "short":
        parts = [f"a {noun}", f"at {place}" if place else "", f"on {back}" if back else ""]
        return _join(parts) + (f" , {style} style" if style else "")
    if level == "medium":
        where = f"at the {place}" if place else ""
        return _join([f"a {noun}", where, f"on a {back} background" if back else ""]) + (
            f" , {style} style ." if style else " ."
        )
    if level == "detailed":
        first = _join([f"a {noun}", f"placed at {place}" if place else ""]) + " ."
        backdrop = f"the backdrop is {back}" if back else ""
        second = " , ".join(p for p in (backdrop, f"in {style} style" if style else "") if p)
        return f"{first} {second} ." if second else first
    if level == "user_prompt":
        verb = rng.choice(("draw", "please draw", "make me", "show me"))
        ending = f"in {style} style" if style else ""
        return _join([verb, f"a {noun}", f"at {place}" if place else "", f"on {back}" if back else "", ending])
    if level == "tags":
        tags = [words[a] for a in NAMES if a in mention and not (a == "style" and look)]
        tags += list(dict.fromkeys(name for name in (thing, look) if name))
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
        thing=PLACEHOLDER if unknown < 0.2 else None,
        look=PLACEHOLDER if 0.2 <= unknown < 0.3 else None,
    )


def echoed(words: dict[str, str], rng: random.Random, most: int = 16) -> str:
    """All nine words, some said again, in any order and without grammar: as the places of a picture would name them."""
    said = list(words.values())
    said += rng.choices(said, k=rng.randint(0, most - len(said)))
    rng.shuffle(said)
    return " ".join(said)


def concept_caption(
    concept: Concept,
    words: dict[str, str],
    level: str,
    rng: random.Random,
    described: bool,
    name: str | None = PLACEHOLDER,
    mention: set[str] | None = None,
) -> str:
    """A caption for a scene that shows a concept: all but the concept's own attributes is said, or what `mention` names of
    it, and these are the name.

    described: spell the concept out in place of the name (the ceiling of the comparison; nothing is said of a look that has
    no words). name: None says "thing", or no style, in its place. A domain has no name: its captions leave its words out.
    """
    own = set(concept.attributes) or {"style"}
    mention = {a for a in NAMES if a not in own and (mention is None or a in mention)}
    if described:
        return caption(words, mention | set(concept.attributes), level, rng)
    return caption(
        words,
        mention,
        level,
        rng,
        thing=name if concept.kind == "object" else None,
        look=name if concept.kind in ("style", "look") else None,
    )
