"""The paper's phenomena as questions with a number that was set before the answer was known.

Each is asked at matched concept fidelity (`tables.matched`), in few steps, on the concept x seed cells of the grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from dopsd.config.study import Compared
from dopsd.report.names import label
from dopsd.report.tables import lines, number_text


@dataclass(frozen=True)
class Question:
    """A claim about a score of a method, or of its paired difference to the baseline, and the number that it is held against.

    {method}, {baseline}: their names, of params.yaml's section `compare`.
    """

    claim: str
    score: str
    of: Literal["method", "baseline", "difference"]
    bar: float
    at_most: bool = False

    def answer(self, low: float, high: float) -> str:
        """ "holds" or "fails" where the whole interval is on one side of the bar, else "open"; "no interval" for one unit."""
        if pd.isna(low):
            return "no interval"
        beyond, short = (high <= self.bar, low > self.bar) if self.at_most else (low >= self.bar, high < self.bar)
        return "holds" if beyond else "fails" if short else "open"


QUESTIONS = (
    Question("{method} learns the concept: fidelity above the untouched model's", "fidelity_gain", "method", 0.2),
    Question(
        "{baseline} blurs new scenes: sharpness over the described row's", "sharpness_kept", "baseline", 0.8, True
    ),
    Question("{method} does not: sharpness over the described row's", "sharpness_kept", "method", 0.9),
    Question("the few-step gap grows under {baseline} (Fréchet)", "gap_growth_frechet", "baseline", 1.1),
    Question("it does not grow under {method} (Fréchet)", "gap_growth_frechet", "method", 1.1, True),
    Question("the few-step gap grows under {baseline} (sharpness)", "gap_growth_sharpness", "baseline", 1.1),
    Question("it does not grow under {method} (sharpness)", "gap_growth_sharpness", "method", 1.1, True),
    Question("{method} follows the scene better than {baseline}: adherence", "adherence", "difference", 0.0),
    Question("{method} leaks less into ordinary prompts than {baseline}", "leakage", "difference", 0.0, True),
)
SET_FOR = "concept_fidelity"  # the miniature's scores
COLUMN = {"method": "", "baseline": "against", "difference": "difference"}  # of `tables.matched`


def answers(matched: pd.DataFrame, compare: Compared) -> pd.DataFrame:
    """Every question with its number, interval and answer: columns claim, value, low, high, bar, answer. None is asked of a
    study that does not measure what the numbers were set for (`SET_FOR`)."""
    table = matched[matched.method == compare.method].set_index("score")
    if SET_FOR not in table.index:
        table = table.iloc[:0]
    names = {"method": label(compare.method), "baseline": label(compare.baseline)}
    rows = []
    for q in (q for q in QUESTIONS if q.score in table.index):
        column = COLUMN[q.of]
        ends = ("value", "low", "high") if not column else (column, f"{column}_low", f"{column}_high")
        value, low, high = (float(table.loc[q.score, name]) for name in ends)
        bar = f"{'<=' if q.at_most else '>='} {q.bar:g}"
        row = {"claim": q.claim.format(**names), "value": value, "low": low, "high": high}
        rows.append(row | {"bar": bar, "answer": q.answer(low, high)})
    return pd.DataFrame(rows, columns=["claim", "value", "low", "high", "bar", "answer"])


def answers_markdown(table: pd.DataFrame, compare: Compared) -> str:
    """`answers` as Markdown."""
    if table.empty:
        return (
            f"Not measured: the claims hold {label(compare.method)} against {label(compare.baseline)}, and their numbers "
            "were set for the miniature's scores."
        )
    shown = table.assign(measured=[number_text(r.value, r.low, r.high) for r in lines(table)])
    return shown[["claim", "bar", "measured", "answer"]].to_markdown(index=False, disable_numparse=True)
