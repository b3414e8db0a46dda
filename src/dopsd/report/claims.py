"""The paper's phenomena as questions with a number that was set before the answer was known.

Each is asked at matched concept fidelity (`tables.matched`), in few steps, on the concept x seed cells of the grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from dopsd.report.tables import AGAINST, lines, number_text

METHOD = "dopsd"


@dataclass(frozen=True)
class Question:
    """A claim about a score of a method, or of its paired difference to SFT, and the number that it is held against."""

    claim: str
    score: str
    of: str  # METHOD, AGAINST or "difference"
    bar: float
    at_most: bool = False

    def answer(self, low: float, high: float) -> str:
        """ "holds" or "fails" where the whole interval is on one side of the bar, else "open"; "no interval" for one unit."""
        if pd.isna(low):
            return "no interval"
        beyond, short = (high <= self.bar, low > self.bar) if self.at_most else (low >= self.bar, high < self.bar)
        return "holds" if beyond else "fails" if short else "open"


QUESTIONS = (
    Question("D-OPSD learns the concept: fidelity above the untouched model's", "fidelity_gain", METHOD, 0.2),
    Question("SFT blurs new scenes: sharpness over the described row's", "sharpness_kept", AGAINST, 0.8, at_most=True),
    Question("D-OPSD does not: sharpness over the described row's", "sharpness_kept", METHOD, 0.9),
    Question("the few-step gap grows under SFT (Fréchet)", "gap_growth_frechet", AGAINST, 1.1),
    Question("it does not grow under D-OPSD (Fréchet)", "gap_growth_frechet", METHOD, 1.1, at_most=True),
    Question("the few-step gap grows under SFT (sharpness)", "gap_growth_sharpness", AGAINST, 1.1),
    Question("it does not grow under D-OPSD (sharpness)", "gap_growth_sharpness", METHOD, 1.1, at_most=True),
    Question("D-OPSD follows the scene better than SFT: adherence", "adherence", "difference", 0.0),
    Question("D-OPSD leaks less into ordinary prompts than SFT", "leakage", "difference", 0.0, at_most=True),
)


def answers(matched: pd.DataFrame) -> pd.DataFrame:
    """Every question with its number, interval and answer: columns claim, value, low, high, bar, answer."""
    table = matched[matched.method == METHOD].set_index("score")
    rows = []
    for q in (q for q in QUESTIONS if q.score in table.index):
        column = {METHOD: "", AGAINST: "against", "difference": "difference"}[q.of]
        names = ("value", "low", "high") if not column else (column, f"{column}_low", f"{column}_high")
        value, low, high = (float(table.loc[q.score, name]) for name in names)
        bar = f"{'<=' if q.at_most else '>='} {q.bar:g}"
        row = {"claim": q.claim, "value": value, "low": low, "high": high}
        rows.append(row | {"bar": bar, "answer": q.answer(low, high)})
    return pd.DataFrame(rows, columns=["claim", "value", "low", "high", "bar", "answer"])


def answers_markdown(table: pd.DataFrame) -> str:
    """`answers` as Markdown."""
    if table.empty:
        return f"Not measured: the claims hold {METHOD} against {AGAINST}."
    shown = table.assign(measured=[number_text(r.value, r.low, r.high) for r in lines(table)])
    return shown[["claim", "bar", "measured", "answer"]].to_markdown(index=False, disable_numparse=True)
