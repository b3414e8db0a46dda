"""What a study of so many concepts could see: the smallest effect that it would find, by the spread that a pilot found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from statsmodels.stats.power import TTestPower

from dopsd.evaluation.statistics import LEVEL, scaled, unscaled
from dopsd.report.claims import Answer, Found

POWER = 0.8
PLANNED = 12  # concepts
COLUMNS = ["id", "score", "scale", "pilot_value", "sd", "n_pilot", "n", "smallest_on_scale", "smallest_effect"]


def power(answers: Sequence[Answer], planned: int = PLANNED) -> pd.DataFrame:
    """For each claim of a mean over two concepts or more, the smallest distance from its bar that a two-sided t test at .05
    finds with a power of .8: `COLUMNS`, a row for as many concepts as it was measured on and one for so many as planned.

    sd: over the concepts, on the score's scale. smallest_on_scale: the distance there; smallest_effect: what it is in the
    score's own numbers, beyond the bar; NaN where nothing on the scale is so far away.
    """
    out = []
    for answer in answers:
        found = answer.found
        if not isinstance(found, Found) or found.n < 2:
            continue
        spread = float(scaled(found.means, found.scale).std(ddof=1))
        for n in dict.fromkeys((found.n, planned)):
            least = spread * TTestPower().solve_power(nobs=n, power=POWER, alpha=1 - LEVEL, alternative="two-sided")
            who = {"id": answer.claim.id, "score": answer.claim.score, "scale": found.scale}
            pilot = {"pilot_value": found.number[0], "sd": spread, "n_pilot": found.n, "n": n}
            effect = _beyond(answer.claim.bar, -least if answer.claim.at_most else least, found)
            out.append(who | pilot | {"smallest_on_scale": least, "smallest_effect": effect})
    return pd.DataFrame(out, columns=COLUMNS)


def _beyond(bar: float, distance: float, found: Found) -> float:
    """How far from the bar a number lies whose distance on the scale is known; NaN where the scale ends before it."""
    at = float(scaled([bar], found.scale)[0]) + distance
    if found.scale == "share" and not 0 <= at <= np.pi / 2:
        return float("nan")
    return abs(unscaled(at, found.scale) - bar)
