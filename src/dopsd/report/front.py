"""Which trained methods no other one beats: fidelity against what is kept, at the last step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from dopsd.report.along import Row, Trainings
from dopsd.report.figures import legend, panels
from dopsd.report.names import colour, label, score_name
from dopsd.report.scales import scale
from dopsd.report.units import Unit, over_concepts, whole

KEPT = {  # against fidelity: what it is called, and whether more of it is better
    "contrast_kept": ("few steps: contrast of new scenes over described", True),
    "blur_added": ("few steps: blur of new scenes,\npixels more than described", False),
    "reward": ("few steps: people's preference, new pictures", True),
    "retention_kid": ("ordinary prompts: KID to untouched", False),
}
COLUMNS = ["against", "method", "fidelity", "kept", "on_front"]


def front(points: Mapping[str, tuple[float, float]], more: bool) -> list[str]:
    """Those of which none other is as good in both and better in one: by name (fidelity, kept), rising in fidelity. more:
    whether more of what is kept is better."""
    sign = 1 if more else -1

    def beaten(name: str) -> bool:
        x, y = points[name]
        return any(
            a >= x and sign * b >= sign * y and (a > x or sign * b > sign * y)
            for other, (a, b) in points.items()
            if other != name
        )

    return sorted((name for name in points if not beaten(name)), key=lambda name: points[name])


def _pairs(rows: Mapping[Unit, Row], one: str, other: str) -> dict[Unit, tuple[float, float]]:
    """Both scores of the concepts that have both, all seeds of them."""
    found = {unit: (row[one], row[other]) for unit, row in rows.items() if one in row and other in row}
    full = whole({unit: pair[0] for unit, pair in found.items()}, rows)
    return {unit: found[unit] for unit in full}


def table(trainings: Trainings, fidelity: str) -> pd.DataFrame:
    """`COLUMNS`: a row a kept score and trained method that has it: means over the concepts that have both scores."""
    out = []
    for kept, (_, more) in KEPT.items():
        points = {}
        for method in trainings.trained:
            if pairs := _pairs(trainings.last(method), fidelity, kept):
                numbers = [{u: pair[k] for u, pair in pairs.items()} for k in (0, 1)]
                points[method] = tuple(
                    float(over_concepts(n, scale(s))["value"]) for n, s in zip(numbers, (fidelity, kept), strict=True)
                )
        best = front(points, more)
        out += [dict(zip(COLUMNS, (kept, m, *points[m], m in best), strict=True)) for m in points]
    return pd.DataFrame(out, columns=COLUMNS)


def figure(found: pd.DataFrame, trainings: Trainings, rows: Sequence[str], fidelity: str) -> Figure | None:
    """A panel a kept score: every trained method's mean a large dot, its concepts small ones, the front a dashed line; rows
    without training as squares. None where there are fewer than three trained methods, or nothing is measured. found: `table`
    of the same trainings."""
    shown = [s for s in KEPT if (found.against == s).any()]
    if found.method.nunique() < 3 or not shown:
        return None
    made, every = panels(len(shown), len(shown), 5.2, 4.6)
    for axes, kept in zip(every, shown, strict=True):
        part: Any = found.loc[found.against == kept].set_index("method")
        for row in rows:
            pairs = _pairs(trainings.last(row), fidelity, kept)
            if not pairs:
                continue
            each: Any = (
                pd.DataFrame([{"concept": u[0], "x": a, "y": b} for u, (a, b) in pairs.items()])
                .groupby("concept")
                .mean()
            )
            trained = row in part.index
            axes.plot(each.x, each.y, ".", color=colour(row), alpha=0.3, markersize=4)
            at = (part.fidelity[row], part.kept[row]) if trained else (each.x.mean(), each.y.mean())
            axes.plot(*at, "o" if trained else "s", color=colour(row), markersize=9, label=label(row))
        best = part.loc[part.on_front].sort_values("fidelity")
        axes.plot(best.fidelity, best.kept, "--", color="black", linewidth=1, label="front of the trained")
        axes.set_xlabel(score_name(fidelity) + " of new scenes")
        axes.set_title(KEPT[kept][0], fontsize=11)
        axes.grid(alpha=0.3)
    legend(made)
    return made


def in_words(found: pd.DataFrame) -> list[str]:
    """A sentence a kept score: who is on the front, rising in fidelity."""
    out = []
    for kept, part in found.groupby("against", sort=False):
        best: Any = part.loc[part.on_front].sort_values("fidelity")
        names = ", ".join(
            f"{label(m)} ({f:.2f}, {k:.3g})" for m, f, k in zip(best.method, best.fidelity, best.kept, strict=True)
        )
        out.append(f"Fidelity, and {KEPT[str(kept)][0].replace(chr(10), ' ')}: {names}.")
    return out
