"""One training beside the untouched model: every score with its paired difference, from a long table."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from dopsd.evaluation.instruments import Score
from dopsd.evaluation.statistics import WITHOUT, interval, jackknifed


def _pictures(rows: pd.DataFrame, step: int) -> dict:
    """A score of each picture: means and difference, with intervals over the groups."""
    wide = rows.pivot(index=["prompt", "group"], columns="step", values="value").reset_index("group")
    values = {"untouched": wide[0], "tuned": wide[step], "difference": wide[step] - wide[0]}
    return {name: interval(v.to_numpy(), wide.group.to_numpy()) for name, v in values.items()}


def _sets(rows: pd.DataFrame, step: int, n: int) -> dict:
    """A score of a whole set of n pictures, with intervals by leaving one block out at a time."""
    wide = rows.pivot(index="group", columns="step", values="value")
    values = {"untouched": wide[0], "tuned": wide[step], "difference": wide[step] - wide[0]}
    out = {}
    for name, series in values.items():
        by_group = {str(g): float(v) for g, v in series.items()}  # pyright: ignore[reportArgumentType]
        out[name] = jackknifed(by_group.pop(""), [v for g, v in by_group.items() if g.startswith(WITHOUT)], n)
    return out


def compared(table: pd.DataFrame, scores: Mapping[str, Score], step: int, n: Mapping[str, int]) -> dict[str, dict]:
    """{score: {"better", "says", "untouched", "tuned", "difference"}}, by kind of prompts where a score has several.

    table: a long table with the untouched model's rows at step 0 and the training's at `step`. n: pictures of each kind.
    """
    out = {}
    for name, kind in table[["score", "kind"]].drop_duplicates().itertuples(index=False, name=None):
        rows, what = table.loc[(table.score == name) & (table.kind == kind)], scores[name]
        numbers = _sets(rows, step, n[kind]) if what.whole else _pictures(rows, step)
        several = table.loc[table.score == name].kind.nunique() > 1
        label = f"{name} ({kind})" if several else name
        out[label] = {"better": what.better, "says": what.says, **numbers}
    return out
