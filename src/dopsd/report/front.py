"""Which trained methods no other one beats: fidelity against what is kept, at the last step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dopsd.report.along import Row, Trainings
from dopsd.report.layout import SMALL, WIDTH, End, dressed, ends, panels
from dopsd.report.names import label, score_name, short
from dopsd.report.palette import BEHIND, OTHER, REFERENCES, colour, family
from dopsd.report.scales import scale
from dopsd.report.units import Unit, over_concepts, whole

KEPT = {  # against fidelity: what it is called, and whether more of it is better
    "contrast_kept": ("few steps: contrast of new scenes\nover described", True),
    "blur_added": ("few steps: blur of new scenes,\npixels more than described", False),
    "reward": ("few steps: people's preference,\nnew pictures", True),
    "retention_kid": ("ordinary prompts: KID\nto untouched", False),
}
MOST = 5  # methods that a panel names
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


def figure(
    found: pd.DataFrame, trainings: Trainings, rows: Sequence[str], fidelity: str, pair: Sequence[str]
) -> Figure | None:
    """A column a kept score, a row some methods of a family: their means large dots, their concepts small ones, all other
    methods grey, the pair that is compared in colour; the front a dashed line; rows without training as grey marks. None
    where there are fewer than three trained methods, or nothing is measured. found: `table` of the same trainings."""
    shown = [s for s in KEPT if (found.against == s).any()]
    if found.method.nunique() < 3 or not shown:
        return None
    groups = _groups([m for m in rows if m in set(found.method)])
    made, every = panels(len(shown) * len(groups), len(shown), 2.4, sharex=True, sharey="col")
    for group, line in zip(groups, every.reshape(len(groups), len(shown)), strict=True):
        first, last = group is groups[0], group is groups[-1]
        for axes, kept in zip(line, shown, strict=True):
            points = {row: pairs for row in rows if (pairs := _pairs(trainings.last(row), fidelity, kept))}
            part: Any = found.loc[found.against == kept].set_index("method")
            names = _panel(axes, part, points, group, [*pair, *group], references=first)
            dressed(axes, KEPT[kept][0] if first else "", f"{score_name(fidelity)} of new scenes" if last else "")
            ends(axes, names, (WIDTH / len(shown) - 0.7, 1.9))
        line[0].set_ylabel(family(group[0]), color=colour(group[0]), fontsize=SMALL + 0.5, fontweight="bold")
    return made


def _groups(methods: Sequence[str]) -> list[list[str]]:
    """The methods of each family, in their order, no more of one than a panel can name."""
    families = dict.fromkeys(map(family, methods))
    each = [[m for m in methods if family(m) == name] for name in families]
    return [mine[k : k + MOST] for mine in each for k in range(0, len(mine), MOST)]


def _panel(
    axes: Axes,
    part: Any,
    points: Mapping[str, Mapping[Unit, tuple[float, float]]],
    group: Sequence[str],
    named: Sequence[str],
    references: bool,
) -> list[End]:
    """One panel -> the names of its dots: of a group, of the pair, and of rows without training where they are asked for."""
    names = []
    for row, pairs in points.items():
        each: Any = pd.DataFrame([(u[0], *xy) for u, xy in pairs.items()], columns=["concept", "x", "y"])
        each = each.groupby("concept").mean()
        trained = row in part.index
        at = (part.fidelity[row], part.kept[row]) if trained else (each.x.mean(), each.y.mean())
        ink, mark = (colour(row) if row in named else BEHIND, "o") if trained else REFERENCES.get(row, (OTHER, "s"))
        axes.plot(*at, mark, color=ink, markersize=7 if row in group else 5, zorder=4 if row in named else 2)
        if row in group:
            axes.plot(each.x, each.y, ".", color=ink, alpha=0.45, markersize=3)
        if row in named or (references and not trained):
            names.append(End(*at, short(row), ink))
    best = part.loc[part.on_front].sort_values("fidelity")
    axes.plot(best.fidelity, best.kept, "--", color="black", linewidth=0.9, zorder=3)
    return names


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
