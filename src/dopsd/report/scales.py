"""The scale that a score's mean and interval are taken on: shares must not leave [0, 1], and ratios are equally far from 1
on both of its sides. Differences of any score are plain."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dopsd.evaluation.statistics import Scale, scaled
from dopsd.report.cells import ABSOLUTE, GAPS, GUIDED, OF_SETS

SHARES = ("adherence", "style", *ABSOLUTE)
OF_GAPS = ("new_gap_contrast", *(f"{of}_{name}" for of in ("few_step", "gap_growth") for name in GAPS))
BEFORE = re.compile(
    rf"^(said_[\d.]+_)?((first|second|third|newest|taught)_)?({GUIDED}|quality_)?"
)  # the same score, asked of other pictures
OVER_UNTOUCHED = "retention_"
CHANGE = "_change"  # a difference between two trainings of one chain


def scale(score: str) -> Scale:
    """The scale of a score of `cells.flat`, or of `units.against_untouched`, by its name."""
    name = BEFORE.sub("", score.partition("@")[0])
    if name.endswith(CHANGE):
        return "plain"
    if name in SHARES or name.endswith("_fidelity") or name.startswith("own_"):
        return "share"
    over = name.startswith(OVER_UNTOUCHED) and name not in OF_SETS
    return "ratio" if over or name.endswith("_kept") or name in OF_GAPS else "plain"


def misfit(values: Iterable[float], on: Scale) -> str:
    """Why values have no interval on a scale; "" where they have one."""
    for value in values:
        try:
            scaled([value], on)
        except ValueError:
            return f"a {on} of {value:.5g} has no place on the scale of {on}s"
    return ""
