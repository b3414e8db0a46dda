"""Charts of all methods side by side: at the last step, along training, and with prompts that say more or less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from dopsd.report.along import Row, Trainings
from dopsd.report.cells import Key, Steps, at, last
from dopsd.report.claims import Answer
from dopsd.report.figures import arms, legend, means, panels
from dopsd.report.names import colour, label, score_name
from dopsd.report.openness import Others
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
BANDS = 8  # methods whose bands can be told apart
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
    figure, every = panels(len(shown), 3, 4.7, 0.9 + 0.28 * len(rows), sharey=True)
    for axes, (score, title) in zip(every, shown.items(), strict=True):
        for bar in bars(answers, score):
            axes.axvline(bar, color="black", linestyle="--", linewidth=1, label="bar of the claims")
        for k, row in enumerate(rows):
            if not (values := _values(at_last[row], score)):
                continue
            units, number = concept_means(values), pd.DataFrame([over_concepts(values, scale(score))]).astype(float)
            axes.plot(units, [k + 0.22] * len(units), ".", color=colour(row), alpha=0.5, markersize=5)
            axes.errorbar(
                number.value, [k - 0.08], xerr=arms(number), fmt="o", color=colour(row), markersize=7, linewidth=2
            )
        axes.set_title(title, fontsize=12)
        axes.set_yticks(range(len(rows)), [label(row) for row in rows], fontsize=12)
        axes.grid(alpha=0.3, axis="x")
        untrained = sum(row not in trainings.trained for row in rows)
        axes.axhline(untrained - 0.45, color="#cccccc", linewidth=1)
    every[0].set_ylim(len(rows) - 0.4, -0.6)  # the first row on top
    if any(bars(answers, score) for score in shown):
        legend(figure)
    return figure


def trajectory(trainings: Trainings, fidelity: str, pair: Sequence[str] = ()) -> Figure | None:
    """Scores along training over optimiser steps and over forwards: a line a method with its interval over the concepts as a
    band; the untouched and the described row as dotted lines. Of the methods that have several checkpoints; None where none
    has, or the study measures none of it. pair: of more than `BANDS` methods these alone have bands."""
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
    figure, every = panels(2 * len(shown), len(shown), 14 / max(2, len(shown)), 3.4)
    for axes, (cost, score) in zip(every, [(c, s) for c in COSTS for s in shown], strict=True):
        for row in (r for r in ("untouched", "described") if score in points.get(r, {})):
            level = over_concepts(_values(trainings.last(row), score), scale(score))["value"]
            axes.axhline(level, color=colour(row), linestyle=":", label=label(row))
        for method in (m for m in trained if score in points[m]):
            found = means(points[method].loc[points[method].step > 0], cost, score)
            line(axes, found, cost, method, band=len(trained) <= BANDS or method in pair)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(COSTS[cost])
        axes.set_title(shown[score], fontsize=12)
        axes.grid(alpha=0.3)
    legend(figure)
    return figure


def line(axes: Axes, found: pd.DataFrame, over: str, method: str, band: bool = True) -> None:
    """A line with a dot a point, and its intervals as a band."""
    axes.plot(found[over], found.value, "o-", color=colour(method), label=label(method), markersize=4)
    if band:
        axes.fill_between(found[over], found.low, found.high, color=colour(method), alpha=0.13, linewidth=0)


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
    figure, every = panels(len(shown), 2, 6.5, 3.6)
    for axes, (score, title) in zip(every, shown.items(), strict=True):
        for row in rows:
            found = means(table.loc[table.method == row], "said", score)
            if len(found):
                line(axes, found, "said", row)
        axes.set(xlabel="chance that a prompt says an attribute", title=title, xticks=sorted(np.unique(table.said)))
        axes.grid(alpha=0.3)
    legend(figure)
    return figure
