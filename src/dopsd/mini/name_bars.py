"""Is a name a name? To the text encoder, by how far it moves a prompt; to the generators, by what they draw of it.

A known name, told or shown, must draw what it stands for. An untuned free name must draw what "thing" draws: of every
attribute the same distribution, as far as two sets of pictures of "thing" itself have the same.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from dopsd.evaluation.instruments.reader import Reader
from dopsd.evaluation.statistics import interval
from dopsd.mini.drawer import FEW, Drawer, noise
from dopsd.mini.names import moved
from dopsd.support.seeds import stream
from dopsd.world.captions import LEVELS, caption
from dopsd.world.lexicon import FREE, HEARD, NOTHING, PLACEHOLDER, SHOWN, TOLD, Name
from dopsd.world.scenes import ATTRIBUTES, NAMES, index, render, sample_scenes

UNHEARD = tuple(w for w in FREE if w not in HEARD and w != PLACEHOLDER)
KNOWN = {
    f"{how}_{kind}s": tuple(n for n in names if n.kind == kind)
    for how, names in (("told", TOLD), ("shown", SHOWN))
    for kind in ("thing", "look")
}
SAID = 0.15  # of what a known name leaves open
COLUMNS = 12  # of the sheet
Scores = dict[str, dict]


def at_the_read_layer(drawer: Drawer) -> Scores:
    """How far a name moves a prompt from the same with "thing", at the layer that the generators read: of the states of the
    word and of all that stands behind it, over the latter's length."""
    words = {"told": [n.word for n in TOLD], "shown": [n.word for n in SHOWN]}
    words |= {"unheard": list(UNHEARD), "heard": list(HEARD), "[V]": [PLACEHOLDER]}
    return {kind: interval(moved(drawer.encoder, mine)[1].double().numpy()) for kind, mine in words.items()}


def asked_by_name(names: Sequence[Name], n: int) -> tuple[list[str], Tensor]:
    """n prompts that call each name in turn and say `SAID` of the rest -> (prompts, which name each calls (n,)). Things are
    asked for in the photo style, which hides nothing of them."""
    kind = names[0].kind
    scenes, rng = sample_scenes(n, stream("miniature names", kind, len(names))), random.Random(0)
    which, texts = torch.arange(n) % len(names), []
    for words, k in zip(scenes.words(), which.tolist(), strict=True):
        own, word = names[k].attributes, names[k].word
        mention = {a for a in NAMES if a not in own and rng.random() < SAID}
        if kind == "thing":
            words, mention = words | {"style": "photo"}, mention | {"style"}
        said = {"thing": word} if kind == "thing" else {"look": word}
        texts.append(caption(words, mention, rng.choice(LEVELS), rng, **said))
    return texts, which


def drawn_by_name(drawer: Drawer, reader: Reader, n: int) -> Scores:
    """{who: {kind of name: {attribute: share of the pictures that show what the name stands for}}}."""
    out: Scores = {who: {} for who in FEW}
    for kind, names in KNOWN.items():
        texts, which = asked_by_name(names, n)
        for who in FEW:
            read = reader.read(drawer.draw(who, texts, noise(n, "names", kind)))
            out[who][kind] = {}
            for a in names[0].attributes:
                wanted = torch.tensor([index(a, x.attributes[a]) for x in names])[which]
                out[who][kind][a] = interval((read[:, NAMES.index(a)] == wanted).numpy())
    return out


def variation(read: Tensor, other: Tensor) -> dict[str, float]:
    """Total variation between the distributions of each attribute in two sets of readings (n, 9), (m, 9)."""
    out = {}
    for i, a in enumerate(NAMES):
        p, q = (x[:, i].bincount(minlength=len(ATTRIBUTES[a])) / len(x) for x in (read, other))
        out[a] = float((p - q).abs().sum() / 2)
    return out


def drawn_unbound(drawer: Drawer, reader: Reader, n: int) -> Scores:
    """{who: {name: {attribute: total variation from what "thing" draws of other noise}}}; name: "thing" itself, "[V]", and
    unheard and heard free names in turn. Prompts say nothing else."""

    def prompts(words: Sequence[str]) -> list[str]:
        rng = random.Random(0)
        return [caption({}, set(), LEVELS[i % 4], rng, thing=words[i % len(words)]) for i in range(n)]

    words = {"thing": (NOTHING,), "[V]": (PLACEHOLDER,), "unheard": UNHEARD, "heard": HEARD}
    out: Scores = {}
    for who in FEW:
        reference = reader.read(drawer.draw(who, prompts((NOTHING,)), noise(n, "unbound reference")))
        read = {k: reader.read(drawer.draw(who, prompts(w), noise(n, "unbound"))) for k, w in words.items()}
        out[who] = {
            k: {a: {"value": v, "low": None, "high": None, "n": n} for a, v in variation(r, reference).items()}
            for k, r in read.items()
        }
    return out


def sheet(drawer: Drawer, who: str = FEW[0]) -> dict[str, Tensor]:
    """Pictures to look at, of one noise a column: "thing", told and shown things and looks beneath renders of what they
    stand for, "[V]" and other free names -> {row: (12, 3, 64, 64)}."""
    start, rows = noise(COLUMNS, "names sheet"), {}

    def add(row: str, words: Sequence[str], look: bool = False) -> None:
        texts = [f"a {NOTHING} in {w} style" if look else f"a {w}" for w in words]
        rows[row] = drawer.draw(who, texts, start)

    add(NOTHING, [NOTHING] * COLUMNS)
    for kind, names in KNOWN.items():
        shown = [names[i % len(names)] for i in range(COLUMNS)]
        scenes = sample_scenes(COLUMNS, stream("names sheet"), {"style": "photo"})
        for i, name in enumerate(shown):
            for a, word in name.attributes.items():
                scenes.attributes[i, NAMES.index(a)] = index(a, word)
        rows[f"{kind}, true"] = render(scenes)
        add(kind, [n.word for n in shown], look=kind.endswith("looks"))
    add(PLACEHOLDER, [PLACEHOLDER] * COLUMNS)
    add("unheard", [UNHEARD[i % len(UNHEARD)] for i in range(COLUMNS)])
    add("heard", [HEARD[i % len(HEARD)] for i in range(COLUMNS)])
    return rows


@torch.no_grad()
def measure_names(drawer: Drawer, reader: Reader, known: int, free: int) -> Scores:
    """known: pictures of each kind of known name; free: of each kind of free name, and of "thing"."""
    return {
        "read_layer": at_the_read_layer(drawer),
        "drawn": drawn_by_name(drawer, reader, known),
        "unbound": drawn_unbound(drawer, reader, free),
    }
