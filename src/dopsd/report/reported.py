"""The paper's tables of methods, of LoRAs and of full fine-tuning, beside the study's own numbers, and whether both put the
methods in one order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dopsd.config.params import Params
from dopsd.config.section import Section, validated
from dopsd.config.yaml import mapping
from dopsd.report.names import label
from dopsd.report.tables import lines, number_text
from dopsd.support.text import read_text

FILES = {  # by what is tuned, and whether the study's instruments look at real pictures
    "lora": "reported.yaml",
    "full": "reported_full.yaml",
    "lora, pictures": "reported_pictures.yaml",
    "full, pictures": "reported_full_pictures.yaml",
}
OF_PICTURES = "dino"  # an instrument of the paper's, which a world's pictures are not shown
COLUMNS = ["row", "score", "reported", "here", "value", "low", "high"]
FEWEST = 4  # rows, for a correlation of ranks
SHOWN = 3  # rows, for a table


class Column(Section):
    """better: "lower" or "higher"; here, which: the same of a score of the study; called: what that one is."""

    better: str
    here: str
    which: str
    called: str


class Reported(Section):
    """of, beside, without: what the table is of, what stands beside it here, and what of it the study has not; the scores of
    the paper's table by their names, and every row's numbers."""

    of: str
    beside: str
    without: str
    columns: dict[str, Column]
    rows: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Order:
    """A score's rows in the paper's order and in the study's. rho: Spearman's, 1 where both are one, over n rows."""

    score: str
    rho: float
    n: int


def which(params: Params) -> str:
    """The paper's table that a study's stands beside: a name of `FILES`."""
    return params.train.tune + (", pictures" if params.instruments.get(OF_PICTURES) else "")


def load(of: str) -> Reported:
    """What the paper reports. of: see `which`."""
    file = Path(__file__).with_name(FILES[of])
    return validated(Reported, mapping(read_text(file), str(file)), str(file))


def asked(of: str) -> set[str]:
    """The scores of a study that stand beside the paper's."""
    return {column.here.partition("@")[0] for column in load(of).columns.values()}


def table(summary: pd.DataFrame, of: str) -> pd.DataFrame:
    """`COLUMNS`: a row a row of the paper's table and score that the study has too. summary: `tables.summary`."""
    said, known = load(of), {(r.method, r.score): r for r in lines(summary)}
    rows = []
    for row, numbers in said.rows.items():
        for score, number in numbers.items():
            if mine := known.get((row, said.columns[score].here)):
                who = {"row": row, "score": score, "reported": number, "here": said.columns[score].here}
                rows.append(who | {"value": mine.value, "low": mine.low, "high": mine.high})
    return pd.DataFrame(rows, columns=COLUMNS)


def orders(found: pd.DataFrame, of: str) -> list[Order]:
    """How far both agree, a score each, where there are rows enough."""
    out, columns = [], load(of).columns
    for score, rows in found.groupby("score", sort=False):
        column = columns[str(score)]
        sign = 1 if column.better == column.which else -1
        if len(rows) >= FEWEST and rows.value.nunique() > 1:
            out.append(Order(str(score), sign * float(rows.reported.corr(rows.value, method="spearman")), len(rows)))
    return out


def in_words(found: pd.DataFrame, of: str) -> str:
    """`table`, a row a row of the paper's, each score of it beside the study's; "" where the study has fewer than `SHOWN`
    of its rows."""
    if found.row.nunique() < SHOWN:
        return ""
    columns, out = load(of).columns, []
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
