"""Does the teacher tell what will be learnt? The untouched model that has seen a training picture beside what is tuned, over
the concepts: the probe that can be asked before a training, held against the training's end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dopsd.report.along import TEACHER, Trainings, names_of
from dopsd.report.layout import SMALL, End, dressed, ends, panels
from dopsd.report.names import label, score_name
from dopsd.report.palette import MARKS, REACH, colour, shade
from dopsd.report.ranks import FEWEST, ranked
from dopsd.report.tables import lines, number_text
from dopsd.support import markdown

OWN, ALL = "own_", "all"
OBJECT = "object"
COLUMNS = ["method", "concept", "kind", "attribute", "untouched", "teacher", "tuned", "teacher_gain", "gain"]


def asked(references: Sequence[str], trained: Sequence[str], pair: Sequence[str]) -> list[str]:
    """The methods of a pair that a study can hold against a teacher: those that it trains, if it has the row."""
    return [m for m in dict.fromkeys(pair) if m in trained] if TEACHER in references else []


def table(trainings: Trainings, methods: Sequence[str], kinds: Mapping[str, str], fidelity: str) -> pd.DataFrame:
    """`COLUMNS`, seeds averaged: a row a method, concept and attribute of its own that is read ("all": its fidelity), at the
    last step. teacher_gain, gain: of the teacher and of the tuned model over the untouched one. kinds: concept -> "object",
    or a style's."""
    rows = []
    for method in methods:
        who = {name: trainings.last(name) for name in ("untouched", TEACHER, method)}
        for concept in dict.fromkeys(concept for concept, _ in who[method]):
            mine = {name: [row for (c, _), row in of.items() if c == concept] for name, of in who.items()}
            every = [row for of in mine.values() for row in of]
            own = [name for name in names_of(every) if name.startswith(OWN)]
            for score in (fidelity, *own):
                if mine[TEACHER] and all(score in row for row in every):
                    start, teacher, tuned = (fmean(row[score] for row in of) for of in mine.values())
                    attribute = ALL if score == fidelity else score.removeprefix(OWN)
                    known = (
                        method,
                        concept,
                        kinds[concept],
                        attribute,
                        start,
                        teacher,
                        tuned,
                        teacher - start,
                        tuned - start,
                    )
                    rows.append(dict(zip(COLUMNS, known, strict=True)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _of(found: pd.DataFrame, method: str, attribute: str) -> pd.DataFrame:
    return found.loc[(found.method == method) & (found.attribute == attribute)]


def _rho(found: pd.DataFrame) -> str:
    """The rank correlation of the two gains over the concepts of a part of `table`; "" where there is none."""
    correlation = ranked({(r.concept, 0): (r.teacher_gain, r.gain) for r in lines(found)})
    return number_text(*correlation.number) if correlation else ""


def above(found: pd.DataFrame) -> pd.DataFrame:
    """The rows in which the tuned model ends above its teacher, the farthest first."""
    return found.loc[found.tuned > found.teacher].assign(by=lambda t: t.tuned - t.teacher).sort_values("by")[::-1]


def in_words(found: pd.DataFrame) -> list[str]:
    """For each method how well the teacher tells its gain, of all concepts and of the objects alone (a kind of concept may be
    easy for teacher and student alike), and the concepts that end above their teacher, by name."""
    out = []
    for method in dict.fromkeys(found.method):
        mine, who = _of(found, method, ALL), label(method)
        rho = _rho(mine) or f"none, of {len(mine)} concepts ({FEWEST} that differ are needed)"
        said = f"The gain of {who} and the teacher's, Spearman's rank correlation over {len(mine)} concepts: {rho}"
        objects = mine.loc[mine.kind == OBJECT]
        alone = _rho(objects) if len(objects) < len(mine) else ""
        out.append(f"{said}{f'; over the {len(objects)} objects alone: {alone}' if alone else ''}.")
        higher = [f"{markdown.text(r.concept)} ({r.tuned:.2f}, teacher {r.teacher:.2f})" for r in lines(above(mine))]
        where = ", ".join(higher) or "none"
        out.append(f"{who} ends above the teacher's fidelity in {len(higher)} of {len(mine)} concepts: {where}.")
    return out


def by_attribute(found: pd.DataFrame) -> str:
    """A row an attribute, of the first method: means over the concepts that it belongs to, in how many of them the tuned
    model ends above its teacher, and the rank correlation of the two gains."""
    rows, method = [], str(found.method.iloc[0])
    for attribute in dict.fromkeys(found.attribute):
        mine = _of(found, method, attribute)
        row = {"": score_name(attribute), "concepts": str(len(mine))}
        row |= {name: f"{mine[name].mean():.3f}" for name in ("untouched", "teacher")}
        row |= {label(method): f"{mine.tuned.mean():.3f}", "above its teacher in": str(len(above(mine)))}
        rows.append(row | {"rank correlation of the gains": _rho(mine)})
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)


def figure(found: pd.DataFrame) -> Figure | None:
    """The gains of each concept, the tuned model's over the teacher's, and each attribute of its own: above the diagonal the
    tuned model has learnt more than its teacher draws. None where nothing is measured."""
    if found.empty:
        return None
    methods, attributes = list(dict.fromkeys(found.method)), [a for a in dict.fromkeys(found.attribute) if a != ALL]
    made, every = panels(2 if attributes else 1, 2, 4.4)
    for method in methods:
        mine, first = _of(found, method, ALL), method == methods[0]
        how = {"color": colour(method), "markersize": 7 if first else 5, "alpha": 1.0 if first else 0.5}
        every[0].plot(mine.teacher_gain, mine.gain, "o" if first else "s", label=f"{label(method)}, a concept", **how)
    gains = found.loc[found.attribute == ALL]
    _diagonal(every[0], "gain of fidelity", [*gains.teacher_gain, *gains.gain])
    _names(every[0], _of(found, methods[0], ALL))
    for k, attribute in enumerate(attributes):
        mine, how = _of(found, methods[0], attribute), {"markersize": 6, "alpha": 0.75, "markeredgecolor": "black"}
        fill = shade(colour(methods[0]), float(np.linspace(-REACH, 0.9, len(attributes))[k]))
        every[1].plot(
            mine.teacher,
            mine.tuned,
            MARKS[k % len(MARKS)],
            color=fill,
            label=score_name(attribute),
            markeredgewidth=0.4,
            **how,
        )
    if attributes:
        _diagonal(every[1], f"own attribute drawn, {label(methods[0])}", [0.0, 1.0])
    for axes in every:
        axes.legend(loc="upper left", fontsize=SMALL, frameon=False)
    return made


def _names(axes: Axes, gains: pd.DataFrame) -> None:
    """The concepts' names beside their dots; of equal ones in one text."""
    at: dict[tuple[float, float], list[str]] = {}
    for r in lines(gains):
        at.setdefault((round(r.teacher_gain, 3), round(r.gain, 3)), []).append(r.concept)
    ends(axes, [End(*point, ", ".join(names), "#333333") for point, names in at.items()], (4.2, 3.4))


def _diagonal(axes: Axes, what: str, values: Sequence[float]) -> None:
    ends = [min(0.0, *values), max(1.0, *values)]
    axes.plot(ends, ends, "--", color="black", linewidth=1, label="as its teacher")
    dressed(axes, what, "the untouched model that has seen a picture (teacher)", "tuned")
