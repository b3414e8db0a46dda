"""The lexicon: a hundred invented names, so that a name is something that a generator reads.

48 names stand for a fixed thing (four attributes of an object) and 24 for a fixed look (a style and its background), as
names of brands, breeds and painters do. A quarter of either is *told*: texts say what they mean, so the text encoder knows
it. The others are *shown*: only pictures tell, so the generator itself must learn which name is which. 28 names are *free*
and mean nothing, "[V]" among them: anything may be drawn. Of these the last six are *heard*: the generator's captions hold
them. The others, "[V]" first, are known to the text encoder alone, and so are what the unused words of a vocabulary are.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import torch

from dopsd.world.outside import HELD_OUT
from dopsd.world.scenes import ATTRIBUTES, NAMES, Scenes, index, sample_scenes

PLACEHOLDER = "[V]"
NOTHING = "thing"  # the noun where neither a shape nor a name is said
THING, LOOK = ("shape", "colour", "texture", "outline"), ("style", "background", "background_colour")
LOOK_STYLES = ("photo", "mosaic", "watercolour")  # the others hide the background
THINGS, LOOKS, HEARD_NAMES = 48, 24, 6
WORDS = """
sema kralu grebar zagam zazu nubum vagam kimem gukuk larux midux fubun drumir plolin ledul grolol tradur lifor davum sitim
fina rusol vibol ludo mifer voder vukek zukol vefan kese bemul trulex grusar kromor goso magon gira bufu tubak mumex pirir
gazor drokan gitir lubem tetu grisax pulel nupul nuvek noten pokex trinil feder migom famer lovi vomax lefan trosin krufa
guter mebin rugul pume tosuk krepu brerak kefom gubix pavam brubar supum minum zamol feman ravex teker namon netom vimel
sati sunox bolum rudak nadil dekek zimem fibak pare panal dute liben ripel taka bupem drenax zopom regin
""".split()


@dataclass(frozen=True)
class Name:
    """kind: "thing", "look" or "free"; attributes: what it stands for, nothing if free; told: whether texts say so."""

    word: str
    kind: str
    attributes: dict[str, str]
    told: bool = False


def _thing(i: int) -> dict[str, str]:
    """The i-th combination, by steps that use every value of every attribute about as often as any other."""
    steps = (i, 3 * i + i // 10, i + i // 4 + i // 20, i + i // 3 + i // 12)
    return {a: ATTRIBUTES[a][k % len(ATTRIBUTES[a])] for a, k in zip(THING, steps, strict=True)}


def _look(i: int) -> dict[str, str]:
    kinds, colours = ATTRIBUTES["background"], ATTRIBUTES["background_colour"]
    return {
        "style": LOOK_STYLES[i % 3],
        "background": kinds[i // 3 % len(kinds)],
        "background_colour": colours[(7 * i + i // 10) % len(colours)],
    }


def _distinct(make: Callable[[int], dict[str, str]], n: int) -> list[dict[str, str]]:
    """The first n combinations that differ and are not held out."""
    out: list[dict[str, str]] = []
    kept = [c.attributes for c in HELD_OUT]
    for combination in map(make, count()):
        if combination not in kept and combination not in out:
            out.append(combination)
        if len(out) == n:
            return out
    raise AssertionError("count() ends")


def _lexicon() -> tuple[Name, ...]:
    words, out = iter(WORDS), []
    for kind, combinations in (("thing", _distinct(_thing, THINGS)), ("look", _distinct(_look, LOOKS))):
        told = random.Random(0).sample(range(len(combinations)), len(combinations) // 4)
        out += [Name(next(words), kind, c, i in told) for i, c in enumerate(combinations)]
    return (*out, Name(PLACEHOLDER, "free", {}), *(Name(w, "free", {}) for w in words))


LEXICON = _lexicon()
TOLD = tuple(n for n in LEXICON if n.told)
SHOWN = tuple(n for n in LEXICON if n.kind != "free" and not n.told)
FREE = tuple(n.word for n in LEXICON if n.kind == "free")
HEARD = FREE[-HEARD_NAMES:]  # the free names of the generator's captions
_BY_ATTRIBUTES = {tuple(n.attributes.values()): n for n in LEXICON if n.kind != "free"}


def name_of(words: dict[str, str], kind: str) -> Name | None:
    """The name of what a scene shows; kind: "thing" or "look"; words: attribute -> word. None where it has none."""
    return _BY_ATTRIBUTES.get(tuple(words[a] for a in (THING if kind == "thing" else LOOK)))


def sample_named(n: int, generator: torch.Generator, things: float = 0.3, looks: float = 0.2) -> Scenes:
    """Scenes of pretraining, of which a share `things` shows a named thing and a share `looks` a named look (may overlap).

    No name stands for a held-out combination, and these are of one kind too, so that none can arise. Deterministic.
    """
    scenes = sample_scenes(n, generator)
    for kind, own, share in (("thing", THING, things), ("look", LOOK, looks)):
        names = [name for name in LEXICON if name.kind == kind]
        table = torch.tensor([[index(a, name.attributes[a]) for a in own] for name in names])
        which = torch.randint(len(names), (n,), generator=generator)
        chosen = torch.rand(n, generator=generator) < share
        columns = torch.tensor([NAMES.index(a) for a in own])
        rows = chosen.nonzero()[:, 0]
        scenes.attributes[rows[:, None], columns[None]] = table[which[rows]]
    return scenes
