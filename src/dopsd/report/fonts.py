"""Which fonts draw a text: the figures' own, and for letters that it has not another of this machine's that has them."""

from __future__ import annotations

import sys
import warnings
from functools import cache
from typing import Any
from unicodedata import east_asian_width

from matplotlib.font_manager import FontProperties, fontManager, get_font

GOOD = (
    "Noto Sans CJK",
    "Source Han Sans",
    "Noto Sans",
    "WenQuanYi",
    "PingFang",
    "Hiragino",
    "Microsoft YaHei",
    "SimHei",
)


@cache
def letters(file: str) -> frozenset[int]:
    """The code points that a font's file has; none where it cannot be read."""
    try:
        return frozenset(get_font(file).get_charmap())
    except (OSError, RuntimeError, TypeError, ValueError):
        return frozenset()


@cache
def others() -> list[tuple[str, str]]:
    """The machine's upright fonts as (name, file), those first that are known to have many scripts."""
    found = {
        f.name: f.fname
        for f in fontManager.ttflist
        if f.style == "normal"
        and f.weight in (400, "normal", "regular")
        and not f.name.startswith("Last Resort")  # boxes
    }
    return sorted(
        found.items(), key=lambda f: (next((i for i, good in enumerate(GOOD) if f[0].startswith(good)), 99), f[0])
    )


def how(text: str) -> dict[str, Any]:
    """How matplotlib is to show a text as it is: a "$" begins no formula, and letters that the figures' font has not come
    from the first font here that has them. Where none has, that is said once, and boxes stand for them."""
    own = str(fontManager.findfont(FontProperties()))
    missing = {ord(c) for c in text if c.isprintable()} - letters(own)
    names = []
    for name, file in others() if missing else ():
        if missing & letters(file):
            names.append(name)
            missing -= letters(file)
        if not missing:
            break
    if missing:
        _say("".join(sorted(map(chr, missing)))[:20])
    return {"parse_math": False} | ({"fontfamily": [FontProperties(fname=own).get_name(), *names]} if names else {})


@cache
def _say(lacking: str) -> None:
    warnings.filterwarnings("ignore", message=r"Glyph \d+", category=UserWarning)  # once is enough
    print(
        f"no font here has {lacking}, so figures show boxes; install one that has, such as Noto Sans CJK",
        file=sys.stderr,
    )


def wide(text: str) -> int:
    """How many letters wide a text is: those of Chinese, Japanese and Korean count two."""
    return sum(1 + (east_asian_width(c) in "WF") for c in text)
