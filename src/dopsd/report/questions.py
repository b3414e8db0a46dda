"""A study's questions (questions.yaml): the rows that answer one, along training and at the end, with what was
claimed of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from dopsd.config.questions import Question
from dopsd.report import claimed, sections
from dopsd.report.along import LAST, Trainings
from dopsd.report.charts import ALONG
from dopsd.report.figures import legend, means, panels
from dopsd.report.names import colour, label, score_name
from dopsd.report.pairs import paired
from dopsd.report.scales import scale
from dopsd.report.tables import lines, number_text
from dopsd.report.units import over_concepts, whole

SHOWN = {  # beside what is shown of every method along training: how a collapse looks that is no fog
    "adherence": "adherence to the rest of the prompt",
    "diversity": "diversity of new scenes",
}
LESS = {  # the scores of the paired differences, and how they are called there
    "concept_fidelity": "concept fidelity",
    "adherence": "adherence",
    "blur_read": "blur, pixels",
    "contrast": "contrast",
    "diversity": "diversity",
    "retention_kid": "KID to untouched",
}
COLUMNS = ["question", "method", "baseline", "score", "n", "difference", "difference_low", "difference_high"]
MARKS = "osD^vP*X"
REFERENCES = ("untouched", "described")


def name(question: str) -> str:
    """The name of a question's figure."""
    return f"question-{question}"


def looks(rows: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The rows' colours and marks: rising shades in their order, since most are one method with more or less of something,
    and shades of one method's colour cannot be told apart where their bands lie over each other."""
    shades = matplotlib.colormaps["viridis"].resampled(len(rows) + 1)  # the last is too light to be read
    return {row: {"color": shades(k), "marker": MARKS[k % len(MARKS)]} for k, row in enumerate(rows)}


def figure(question: Question, trainings: Trainings, fidelity: str) -> Figure | None:
    """Scores of a question's rows over optimiser steps: a line a row with its 95 % interval over the concepts as a band; the
    untouched and the described row dotted. None where none of them is measured."""
    rows = {
        method: pd.DataFrame([{"concept": c, "seed": s} | row for (c, s), rows in units.items() for row in rows])
        for method, units in trainings.points.items()
        if method in (*question.rows, *REFERENCES)
    }
    known = {score for table in rows.values() for score in table}
    shown = {s: t for s, t in ({fidelity: score_name(fidelity)} | ALONG | SHOWN).items() if s in known}
    trained = [m for m in question.rows if m in rows and m in trainings.trained]
    if not shown or not trained:
        return None
    made, every = panels(len(shown), 3, 4.7, 3.5)
    for axes, (score, title) in zip(every, shown.items(), strict=True):
        for row in (r for r in REFERENCES if score in rows.get(r, {})):
            last = trainings.last(row)
            found = whole({unit: r[score] for unit, r in last.items() if score in r}, last)
            axes.axhline(
                over_concepts(found, scale(score))["value"], color=colour(row), linestyle=":", label=label(row)
            )
        for method, look in looks(trained).items():
            if score not in rows[method]:
                continue
            table = means(rows[method].loc[rows[method].step > 0], "step", score)
            axes.plot(table.step, table.value, label=label(method), markersize=5, **look)
            axes.fill_between(table.step, table.low, table.high, color=look["color"], alpha=0.12, linewidth=0)
        axes.set(xscale="log", xlabel="optimiser steps", title=title)
        ticks = sorted({step for m in trained for step in rows[m].step if step > 0})
        axes.set_xticks(ticks[:: -(-len(ticks) // 7)], minor=False)
        axes.set_xticks([], minor=True)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.grid(alpha=0.3)
    legend(made)
    return made


def differences(questions: Mapping[str, Question], trainings: Trainings) -> pd.DataFrame:
    """Of each question every other row less the one that it is held against, at their last steps, paired by unit: columns
    `COLUMNS`. The difference is of plain means, with its 95 % interval over the n concepts, corrected for nothing."""
    out = []
    for key, question in questions.items():
        for method in (row for row in question.rows if row != question.against):
            both = trainings.pair(LAST, method, question.against)
            who = {"question": key, "method": method, "baseline": question.against}
            out += [who | line for line in paired(both) if line["score"] in LESS]
    return pd.DataFrame(out, columns=COLUMNS)


def _less(table: pd.DataFrame, question: Question) -> str:
    """`differences` of one question: a row a row, a column a score."""
    text = {
        (r.method, r.score): number_text(r.difference, r.difference_low, r.difference_high, sign=True)
        for r in lines(table)
    }
    rows = [
        {f"less {label(question.against)}": label(m)} | {called: text.get((m, s), "") for s, called in LESS.items()}
        for m in dict.fromkeys(table.method)
    ]
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True) if rows else ""


def in_words(
    questions: Mapping[str, Question],
    figures: set[str],
    table: pd.DataFrame,
    less: pd.DataFrame,
    few: int,
    records: claimed.Records,
    controls: claimed.Controls,
    turbos: bool,
) -> list[dict[str, str]]:
    """For the template, of each question: what it asks, its figure, its rows at their last step and its claims, which are of
    the family that is called as it is. table: `tables.summary`; less: `differences`."""
    out = []
    for key, question in questions.items():
        mine = [r for r in records if r["family"] == key]
        wanted = [row for row in question.rows if (table.method == row).any()]
        out.append(
            {
                "asks": question.asks,
                "seen": question.seen,
                "figure": name(key) if name(key) in figures else "",
                "rows": sections.summary(table, wanted, few, ("diversity",)),
                "less": _less(less.loc[less.question == key], question),
                "claims": claimed.table(mine, controls, turbos) if mine else "",
            }
        )
    return out
