"""The colours of rows, the same in every figure of every study: one a family of methods, grey for what is not trained.

The families' colours are told apart without red, green or blue cones, too (after Okabe and Ito, "Color universal design",
2008); within a family rows are told by shade, mark and name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import to_hex, to_rgb

from dopsd.report.names import kind


class Family(NamedTuple):
    """Methods of one idea: their colour, in a word, too, and their files' names."""

    word: str
    colour: str
    kinds: tuple[str, ...]


FAMILIES = {
    "supervised": Family("orange", "#d55e00", ("sft", "sft_teacher", "sft_on_policy")),
    "self-distilled": Family("blue", "#0058a3", ("dopsd", "dopsd_mu", "off_policy")),
    "with another LoRA or model": Family(
        "green", "#1a9e6b", ("base_lora", "distill_adapter", "repair_lora", "imitation")
    ),
    "with a penalty or preference": Family("purple", "#bf6b9b", ("dreambooth", "pso", "anchored_sft", "preservation")),
}
REFERENCES = {  # a grey and a mark each
    "untouched": ("#6a6a6a", "s"),
    "again": ("#7d7d7d", "P"),
    "described": ("#333333", "D"),
    "teacher": ("#4f4f4f", "^"),
    "base": ("#7d7d7d", "X"),
}
OTHER = "#444444"  # a row that nobody knows
BEHIND = "#d4d4d4"  # the rows that a panel is not about
MARKS = "osD^vP*X"
REACH = 0.5  # how far a family's shades go towards black and white


def family(method: str) -> str:
    """The family of a row of the study; "" of what is not trained or not known."""
    return next((name for name, of in FAMILIES.items() if kind(method) in of.kinds), "")


def colour(method: str) -> str:
    """A row's colour: its family's, or a reference's grey."""
    if method in REFERENCES:
        return REFERENCES[method][0]
    return FAMILIES[name].colour if (name := family(method)) else OTHER


def shade(of: str, towards: float) -> str:
    """A colour mixed with white (towards in 0 to 1) or with black (-1 to 0)."""
    part, end = abs(towards), float(towards > 0)
    red, green, blue = to_rgb(of)
    return to_hex(((1 - part) * red + part * end, (1 - part) * green + part * end, (1 - part) * blue + part * end))


def key(rows: Sequence[str]) -> str:
    """What the colours of these rows mean, in a sentence without its full stop."""
    known = [(FAMILIES[name].word, name) for name in FAMILIES if any(family(row) == name for row in rows)]
    said = "; ".join(f"{word}: {name}" for word, name in [*known, ("grey", "not trained")])
    return said[0].upper() + said[1:]


def looks(rows: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour and mark of rows that share a panel: one of a family has the family's colour, of two the one that its family is
    listed with first, the other a lighter one; more have rising shades in their order, since most are one method with more
    or less of something."""
    out: dict[str, dict[str, Any]] = {}
    for k, row in enumerate(rows):
        if row in REFERENCES:
            out[row] = {"color": REFERENCES[row][0], "marker": REFERENCES[row][1]}
            continue
        mine = [r for r in rows if r not in REFERENCES and family(r) == family(row)]
        if len(mine) < 3:
            mine.sort(key=_place)
        towards = np.linspace(-REACH, REACH, len(mine)) if len(mine) > 2 else (0.0, REACH)
        out[row] = {"color": shade(colour(row), float(towards[mine.index(row)])), "marker": MARKS[k % len(MARKS)]}
    return out


def _place(method: str) -> int:
    """A method's place in its family."""
    kinds = FAMILIES[name].kinds if (name := family(method)) else ()
    return kinds.index(kind(method)) if kinds else 0
