"""Charts of all methods side by side: at the last step, along training, and with prompts that say more or less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dopsd.report.along import Row, Trainings
from dopsd.report.cells import Key, Steps, at, last
from dopsd.report.claims import Answer
from dopsd.report.figures import arms, by_row, means
from dopsd.report.layout import End, dressed, ends, panels
from dopsd.report.multiples import multiples
from dopsd.report.names import label, score_name, short
from dopsd.report.openness import Others
from dopsd.report.palette import colour, looks, shade
from dopsd.report.scales import misfit, scale
from dopsd.report.units import Unit, concept_means, over_concepts, whole

OF_DOMAIN = {  # of a study of domains
    "domain_frechet": "new scenes, few steps:\nFréchet to the domain",
    "guided_domain_frechet": "new scenes, many guided steps:\nFréchet to the domain",
}
HEADLINE = {
    "concept_fidelity": "new scenes: concept fidelity",
    "blur_added": "new scenes: blur, pixels\nmore than described",
    "contrast_kept": "new scenes: contrast\nover described",
    "gap_growth_blur": "few-step gap: blur, pixels\nmore than untouched",
    "retention_kid": "ordinary prompts: KID\nto untouched (lower = kept)",
    "adherence": "new scenes: adherence\nto the rest of the prompt",
}
ALONG = {
    "concept_fidelity": "concept fidelity",
    "blur_read": "blur, pixels",
    "contrast": "contrast (1 = renders)",
    "retention_kid": "ordinary prompts: KID\nto untouched",
}
ALONG_DOMAIN = {
    "domain_frechet": "Fréchet to the domain",
    "contrast": "contrast (1 = renders)",
    "retention_kid": "ordinary prompts: KID\nto untouched",
}
COSTS = {"step": "optimiser steps", "forwards": "forwards for each sample of a batch"}
OPEN = {
    "blur_read": "new scenes: blur, pixels",
    "contrast": "new scenes: contrast (1 = renders)",
    "quality_blur_read": "ordinary prompts: blur, pixels",
    "quality_contrast": "ordinary prompts: contrast (1 = renders)",
}


def _values(rows: Mapping[Unit, Row], score: str) -> Mapping[Unit, float]:
    """A score's values, if it is one of whole concepts and all have a place on its scale; {} else."""
    found = whole({unit: row[score] for unit, row in rows.items() if score in row}, rows)
    return {} if misfit(found.values(), scale(score)) else found


def bars(answers: Sequence[Answer], score: str) -> list[float]:
    """The bars that claims about a row's score have, each once."""
    asked = [a.claim.bar for a in answers if a.claim.score == score and a.claim.of in ("method", "baseline")]
    return list(dict.fromkeys(asked))


def methods(trainings: Trainings, rows: Sequence[str], answers: Sequence[Answer], fidelity: str) -> Figure | None:
    """A panel a score at the last step, a line a row of the comparison: each concept a small dot, their mean with its
    interval a large one; a dashed line where claims have their bar. None where the study measures none of it."""
    at_last = {row: trainings.last(row) for row in rows}
    wanted = {fidelity: score_name(fidelity)} | OF_DOMAIN | HEADLINE
    shown = {s: t for s, t in wanted.items() if any(_values(at_last[row], s) for row in rows)}
    if not shown:
        return None
    figure, every = panels(len(shown), 3, 0.85 + 0.215 * len(rows), sharey=True)
    for axes, (score, title) in zip(every, shown.items(), strict=True):
        for bar in bars(answers, score):
            axes.axvline(bar, color="black", linestyle="--", linewidth=1)
        for k, row in enumerate(rows):
            if not (values := _values(at_last[row], score)):
                continue
            units, number = concept_means(values), pd.DataFrame([over_concepts(values, scale(score))]).astype(float)
            axes.plot(units, [k + 0.22] * len(units), ".", color=colour(row), alpha=0.5, markersize=3.5)
            axes.errorbar(
                number.value, [k - 0.08], xerr=arms(number), fmt="o", color=colour(row), markersize=5, linewidth=1.7
            )
        axes.set_yticks(range(len(rows)), [label(row) for row in rows])
        dressed(axes, title)
        axes.grid(visible=False, axis="y")
        untrained = sum(row not in trainings.trained for row in rows)
        axes.axhline(untrained - 0.45, color="#cccccc", linewidth=1)
    every[0].set_ylim(len(rows) - 0.4, -0.6)  # the first row on top
    for axes in every[::3]:
        for name, row in zip(axes.get_yticklabels(), rows, strict=True):
            name.set_color(colour(row))
    return figure


def trajectory(trainings: Trainings, fidelity: str, pair: Sequence[str] = (), cost: str = "step") -> Figure | None:
    """Scores along training over optimiser steps, or over another of `COSTS`: a row a method, its interval over the concepts
    as a band; the untouched and the described row as dotted lines. Of the methods that have several checkpoints; None where
    none has, or the study measures none of it. pair: the methods that are compared."""
    points = {
        method: pd.DataFrame([{"concept": c, "seed": s} | row for (c, s), rows in units.items() for row in rows])
        for method, units in trainings.points.items()
    }
    known = {name for table in points.values() for name in table}
    wanted = ALONG_DOMAIN if "domain_frechet" in known else ALONG
    shown = {s: t for s, t in ({fidelity: score_name(fidelity)} | wanted).items() if s in known}
    trained = [m for m in trainings.trained if m in points and points[m].step.nunique() > 2]  # untouched is the first
    if not shown or not trained:
        return None
    curves: dict[str, dict[str, pd.DataFrame]] = {}
    for score, title in shown.items():
        mine = curves[title] = {}
        for row in (r for r in ("untouched", "described") if score in points.get(r, {})):
            level = over_concepts(_values(trainings.last(row), score), scale(score))["value"]
            mine[row] = pd.DataFrame({"x": [float("nan")], "value": [level]})
        for method in (m for m in trained if score in points[m]):
            found = means(points[method].loc[points[method].step > 0], cost, score)
            mine[method] = found.assign(x=found[cost])
    return multiples(curves, trained, pair, COSTS[cost], log=10)


def line_panel(
    axes: Axes, curves: Mapping[str, pd.DataFrame], x: str, levels: Mapping[str, float], size: tuple[float, float]
) -> None:
    """Rows that share a panel: a line each with its interval as a band, levels as dotted lines, the names at their ends.
    curves: {row: columns x, value, low, high}; size: inches of the panel, about."""
    names = [End(None, level, short(row), colour(row)) for row, level in levels.items()]
    for row, level in levels.items():
        axes.axhline(level, color=colour(row), linestyle=":", linewidth=1.2)
    for row, look in looks(list(curves)).items():
        found = curves[row]
        axes.plot(found[x], found.value, markersize=4, linewidth=1.5, **look)
        axes.fill_between(found[x], found.low, found.high, color=look["color"], alpha=0.13, linewidth=0)
        names.append(End(found[x].iloc[-1], found.value.iloc[-1], short(row), shade(look["color"], -0.3)))
    ends(axes, names, size)


def openness(cells: Mapping[Key, Steps], others: Others, main: float, few: int, rows: Sequence[str]) -> Figure | None:
    """What prompts that say more of the same scenes change, in few steps at the last step: a line a row. main: how much
    prompts say at the main openness. None where the study asks at no other."""
    long = [
        {"method": method, "concept": concept, "said": said} | at(last(steps), few)
        for said, found in ({main: cells} | dict(others)).items()
        for (method, concept, _), steps in found.items()
        if method in rows
    ]
    table = pd.DataFrame(long)
    shown = {score: title for score, title in OPEN.items() if score in table}
    if not others or not shown:
        return None
    figure, every = panels(len(shown), 2, 2.7)
    for axes, (score, title) in zip(every, shown.items(), strict=True):
        found = by_row(table, "said", score)
        each = {row: found[row] for row in rows if row in found}
        axes.set_xticks(sorted(np.unique(table.said)))
        line_panel(axes, each, "said", {}, (4.2, 1.9))
        dressed(axes, title, "chance that a prompt says an attribute")
    return figure
