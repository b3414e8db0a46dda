"""A study's questions (questions.yaml): the rows that answer one, along training and at the end, with what was
claimed of them."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from dopsd.config.questions import Question
from dopsd.report import claimed, sections
from dopsd.report.along import LAST, Trainings
from dopsd.report.charts import ALONG, line_panel
from dopsd.report.figures import means
from dopsd.report.layout import dressed, panels
from dopsd.report.names import label, score_name
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
REFERENCES = ("untouched", "described")


def name(question: str) -> str:
    """The name of a question's figure."""
    return f"question-{question}"


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
    made, every = panels(len(shown), 3, 2.7)
    ticks = sorted({step for m in trained for step in rows[m].step if step > 0})
    for axes, (score, title) in zip(every, shown.items(), strict=True):
        levels = {}
        for row in (r for r in REFERENCES if score in rows.get(r, {})):
            last = trainings.last(row)
            found = whole({unit: r[score] for unit, r in last.items() if score in r}, last)
            levels[row] = over_concepts(found, scale(score))["value"]
        each = {m: means(rows[m].loc[rows[m].step > 0], "step", score) for m in trained if score in rows[m]}
        axes.set_xscale("log")
        line_panel(axes, each, "step", levels, (2.7, 1.9))
        axes.set_xticks(ticks[:: -(-len(ticks) // 7)], minor=False)
        axes.set_xticks([], minor=True)
        axes.xaxis.set_major_formatter("{x:g}")
        dressed(axes, title, "optimiser steps")
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
