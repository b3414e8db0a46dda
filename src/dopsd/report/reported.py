"""The paper's table of methods beside the study's own numbers, and whether both put the methods in one order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dopsd.config.section import Section, validated
from dopsd.config.yaml import mapping
from dopsd.report.names import label
from dopsd.report.tables import lines, number_text
from dopsd.support.text import read_text

FILE = Path(__file__).with_suffix(".yaml")
COLUMNS = ["row", "score", "reported", "here", "value", "low", "high"]
FEWEST = 4  # rows, for a correlation of ranks


class Column(Section):
    """better: "lower" or "higher"; here, which: the same of a score of the study; called: what that one is."""

    better: str
    here: str
    which: str
    called: str


class Reported(Section):
    """The scores of the paper's table by their names, and every row's numbers."""

    columns: dict[str, Column]
    rows: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Order:
    """A score's rows in the paper's order and in the study's. rho: Spearman's, 1 where both are one, over n rows."""

    score: str
    rho: float
    n: int


def load() -> Reported:
    """What the paper reports."""
    return validated(Reported, mapping(read_text(FILE), str(FILE)), str(FILE))


def table(summary: pd.DataFrame) -> pd.DataFrame:
    """`COLUMNS`: a row a row of the paper's table and score that the study has too. summary: `tables.summary`."""
    said, known = load(), {(r.method, r.score): r for r in lines(summary)}
    rows = []
    for row, numbers in said.rows.items():
        for score, number in numbers.items():
            if mine := known.get((row, said.columns[score].here)):
                of = {"row": row, "score": score, "reported": number, "here": said.columns[score].here}
                rows.append(of | {"value": mine.value, "low": mine.low, "high": mine.high})
    return pd.DataFrame(rows, columns=COLUMNS)


def orders(found: pd.DataFrame) -> list[Order]:
    """How far both agree, a score each, where there are rows enough."""
    out, columns = [], load().columns
    for score, rows in found.groupby("score", sort=False):
        column = columns[str(score)]
        sign = 1 if column.better == column.which else -1
        if len(rows) >= FEWEST and rows.value.nunique() > 1:
            out.append(Order(str(score), sign * float(rows.reported.corr(rows.value, method="spearman")), len(rows)))
    return out


def in_words(found: pd.DataFrame) -> str:
    """`table`, a row a row of the paper's, each score of it beside the study's; "" where the study has fewer than its rows
    for an order."""
    if found.row.nunique() < FEWEST:
        return ""
    columns, out = load().columns, []
    for row, mine in found.groupby("row", sort=False):
        known = {r.score: r for r in lines(mine)}
        line = {"": label(str(row))}
        for score, column in columns.items():
            arrow = "^" if column.better == "higher" else "v"
            r = known.get(score)
            line[f"{score} {arrow} (reported)"] = f"{r.reported:g}" if r else ""
            line[column.called] = number_text(r.value, r.low, r.high) if r else ""
        out.append(line)
    return pd.DataFrame(out).to_markdown(index=False, disable_numparse=True)
