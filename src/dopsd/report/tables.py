"""The tables: one tidy row a cell, and the methods' means with their paired differences to the baseline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import pandas as pd

from dopsd.report.cells import Key, Steps, at, last
from dopsd.report.scales import misfit, scale
from dopsd.report.units import Unit, Values, over_concepts, whole
from dopsd.support import paths
from dopsd.support.files import read_csv

LOSS = ("loss", "lr", "grad_norm")
WHO = ["method", "concept", "kind", "seed", "step", "nfe"]  # of a row of `comparison`
GAP = "few_step_"
MAIN = (
    "concept_fidelity",
    "adherence",
    "blur_read",
    "contrast",
    "steepness",
    "guided_blur_read",
    "new_gap_blur",
    "few_step_blur_read",
    "leakage",
    "retention_kid",
)  # what is shown of each concept, and at each openness; in few steps


def lines(table: pd.DataFrame) -> Iterable[Any]:
    """A table's rows, as named tuples of its columns, which no type knows."""
    return table.itertuples()


def comparison(cells: Mapping[Key, Steps], kinds: Mapping[str, str], few: int) -> pd.DataFrame:
    """One row a method x concept x seed x step x NFE: `WHO`, then every score that a cell has.

    New scenes are drawn in few steps and scored in that row; the other NFE have ordinary prompts only. kinds: concept ->
    "object" or "style".
    """
    rows = []
    for (method, concept, seed), steps in cells.items():
        for step, row in steps.items():
            for nfe in sorted({few, *(int(name.split("@")[1]) for name in row if "@" in name)}):
                who = {
                    "method": method,
                    "concept": concept,
                    "kind": kinds[concept],
                    "seed": seed,
                    "step": step,
                    "nfe": nfe,
                }
                shown = at(row, nfe) if nfe == few else _ordinary_only(row, nfe)
                rows.append(who | {name: v for name, v in shown.items() if not name.startswith(GAP)})
    return pd.DataFrame(rows)


def _ordinary_only(row: Mapping[str, float], nfe: int) -> dict[str, float]:
    return {name: v for name, v in at(row, nfe).items() if f"{name}@{nfe}" in row}


def scores_of(table: pd.DataFrame) -> list[str]:
    """The columns of `comparison` that are scores."""
    return [c for c in table.columns if c not in WHO]


def trajectory(table: pd.DataFrame, few: int) -> pd.DataFrame:
    """`comparison` as one row a method and step: means over the cells, in few steps."""
    means = table.loc[table.nfe == few].groupby(["method", "step"], sort=False)[scores_of(table)].mean()
    return cast(pd.DataFrame, means).reset_index()  # pandas declares it to be a scalar, too


def _last_rows(cells: Mapping[Key, Steps]) -> dict[str, dict[str, Values]]:
    """{score: {method: its values at the last step}}, of the methods that have it on all seeds of a concept or on none."""
    rows: dict[str, dict[Unit, dict[str, float]]] = {}
    for (method, concept, seed), steps in cells.items():
        rows.setdefault(method, {})[concept, seed] = last(steps)
    names = dict.fromkeys(name for mine in rows.values() for row in mine.values() for name in row)
    found = {
        name: {
            method: whole({unit: row[name] for unit, row in mine.items() if name in row}, mine)
            for method, mine in rows.items()
        }
        for name in names
    }
    shown = {name: {method: values for method, values in by.items() if values} for name, by in found.items()}
    return {name: by for name, by in shown.items() if by}


def left_out(cells: Mapping[Key, Steps]) -> dict[str, str]:
    """The scores that `summary` leaves out, since no mean can be taken on their scale, each with the reason."""
    return {
        name: f"{method}: {why}"
        for name, by in _last_rows(cells).items()
        for method, values in by.items()
        if (why := misfit(values.values(), scale(name)))
    }


def summary(cells: Mapping[Key, Steps], baseline: str) -> pd.DataFrame:
    """Means of the methods at their last step, and paired differences to the baseline, each with a 95 % interval over the
    concepts.

    Columns: score, method, value, low, high, n, difference, difference_low, difference_high. A concept is the unit, its seeds
    a mean within it: they share training pictures and prompts. A method shows a score over the n concepts whose cells all
    have it, unless some concept has it on a part of its seeds (the full range of NFE); a difference is over the cells that
    both have. Means are taken on the score's scale (`scales`), differences as they are.
    """
    out, without = [], left_out(cells)
    for name, by in _last_rows(cells).items():
        for method, values in by.items() if name not in without else ():
            line = {"score": name, "method": method, **over_concepts(values, scale(name))}
            pairs = {unit: v - by[baseline][unit] for unit, v in values.items() if unit in by.get(baseline, {})}
            if method != baseline and pairs:
                line |= prefixed("difference", over_concepts(pairs))
            out.append(line)
    return numbers(pd.DataFrame(out))


def concepts(cells: Mapping[Key, Steps], kinds: Mapping[str, str], few: int) -> pd.DataFrame:
    """One row a method x concept, at the last step, seeds averaged: method, concept, kind and `MAIN`, as far as there are."""
    rows = [
        {"method": method, "concept": concept, "kind": kinds[concept]} | at(last(steps), few)
        for (method, concept, _), steps in cells.items()
    ]
    table = pd.DataFrame(rows)
    who = ["method", "concept", "kind"]
    means = table.groupby(who, sort=False)[[name for name in MAIN if name in table]].mean()
    return cast(pd.DataFrame, means).reset_index()


def numbers(table: pd.DataFrame, texts: Iterable[str] = ("score", "method")) -> pd.DataFrame:
    """The same with an interval that is not there as NaN, in columns of floats."""
    return table.astype({c: float for c in table.columns if c not in (*texts, "n")})


def prefixed(name: str, number: dict) -> dict:
    """A number's value and interval under other names; its n is the line's own."""
    return {name: number["value"], f"{name}_low": number["low"], f"{name}_high": number["high"]}


def number_text(value: float, low: float | None, high: float | None, sign: bool = False) -> str:
    """A number with its interval, if it has one: three decimals, one where it is 10 or more; a difference with its sign."""
    if low is None or high is None or low != low:  # one unit has no interval
        return f"{value:{'+' if sign else ''}.{3 if abs(value) < 10 else 1}f}"
    digits = 3 if max(abs(value), abs(low), abs(high)) < 10 else 1
    form = f"{'+' if sign else ''}.{digits}f"
    value, low, high = (round(x, digits) + 0.0 for x in (value, low, high))  # + 0.0: no negative zeros
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


def summary_markdown(
    table: pd.DataFrame, labels: Mapping[str, str], baseline: str, left_out: Mapping[str, str] | None = None
) -> str:
    """`summary` as two Markdown tables: means, then differences to the baseline; blank where a method has no such score.
    labels: score -> what it is called; left_out: those that are not in the table, and why."""
    table = table[table.score.isin(labels)].assign(score=lambda t: t.score.map(labels))
    order, methods = [x for x in labels.values() if x in set(table.score)], list(dict.fromkeys(table.method))
    mean = [number_text(r.value, r.low, r.high) for r in lines(table)]
    parts = [_wide(table.assign(text=mean), order, methods)]
    if "difference" in table:
        other = table.dropna(subset=["difference"])
        text = [number_text(r.difference, r.difference_low, r.difference_high, sign=True) for r in lines(other)]
        parts.append(_wide(other.assign(text=text), order, [m for m in methods if m != baseline]))
    parts += [f"Left out: {name} ({why})." for name, why in (left_out or {}).items()]
    return "\n\n".join(parts) + "\n"


def _wide(table: pd.DataFrame, scores: Sequence[str], methods: Sequence[str]) -> str:
    """The texts of a table, a row a score and a column a method, as Markdown."""
    wide = table.pivot(index="score", columns="method", values="text")
    shown = [score for score in scores if score in wide.index]
    return wide.reindex(index=shown, columns=methods).fillna("").to_markdown()


def losses(trained: Sequence[str], concepts: Sequence[str], seeds: Sequence[int]) -> pd.DataFrame:
    """Every training's loss curve: columns method, concept, seed, step and `LOSS`."""
    out = []
    for method in trained:
        for concept in concepts:
            for seed in seeds:
                file = paths.adapters(method, concept, seed) / "loss.csv"
                out.append(read_csv(file, "step", *LOSS).assign(method=method, concept=concept, seed=seed))
    table = pd.concat(out, ignore_index=True)
    return table.loc[:, ["method", "concept", "seed", "step", *LOSS]]
