"""The tables: one tidy row a cell, and the methods' means with their paired differences to the baseline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import pandas as pd

from dopsd.evaluation.statistics import interval
from dopsd.report.cells import BLUR, GAPS, Key, Steps, at
from dopsd.support import paths
from dopsd.support.files import read_csv

LOSS = ("loss", "lr", "grad_norm")
WHO = ["method", "concept", "kind", "seed", "step", "nfe"]  # of a row of `comparison`
GAP = "few_step_"


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


def last(steps: Steps) -> dict[str, float]:
    """A finished training's row."""
    return steps[max(steps)]


def summary(cells: Mapping[Key, Steps], baseline: str) -> pd.DataFrame:
    """Means of the methods at their last step, and paired differences to the baseline, each with a 95 % interval over the
    concepts.

    Columns: score, method, value, low, high, n, difference, difference_low, difference_high. A concept is the unit, its seeds
    a mean within it: they share training pictures and prompts. Scores that not every cell has (the full range of NFE) are
    left out.
    """
    rows: dict[str, dict[tuple, dict]] = {}
    for (method, concept, seed), steps in cells.items():
        rows.setdefault(method, {})[concept, seed] = last(steps)
    common = set.intersection(*(set(row) for mine in rows.values() for row in mine.values()))
    names = [name for name in next(iter(next(iter(rows.values())).values())) if name in common]
    out = []
    for name in names:
        for method, mine in rows.items():
            concepts = [concept for concept, _ in mine]
            line = {
                "score": name,
                "method": method,
                **interval([row[name] for row in mine.values()], numbered(concepts)),
            }
            if method != baseline and baseline in rows:
                differences = [row[name] - rows[baseline][unit][name] for unit, row in mine.items()]
                line |= _prefixed("difference", interval(differences, numbered(concepts)))
            out.append(line)
    return _numbers(pd.DataFrame(out))


def numbered(concepts: Sequence[str]) -> list[int]:
    """The number of each cell's concept."""
    known = list(dict.fromkeys(concepts))
    return [known.index(c) for c in concepts]


def _numbers(table: pd.DataFrame) -> pd.DataFrame:
    """The same with an interval that is not there as NaN, in columns of floats."""
    return table.astype({c: float for c in table.columns if c not in ("score", "method", "n")})


def first_reaching(rows: list[dict[str, float]], score: str, level: float) -> dict[str, float]:
    """The first checkpoint's row whose score reaches a level; ValueError where none does."""
    for row in rows:
        if row[score] >= level:
            return row
    raise ValueError(f"no checkpoint reaches a {score} of {level}")


def against_untouched(
    row: Mapping[str, float], untouched: Mapping[str, float], described: Mapping[str, float] | None, fidelity: str
) -> dict[str, float]:
    """The scores that set a checkpoint's row beside the untouched model's, on the same prompts and noise.

    fidelity_gain: fidelity less the untouched model's. *_kept: over the described row's, where there is one. gap_growth_*:
    how much more of a score few steps have lost than many, against the untouched model: above 1 they have lost more; of the
    blur that is read, in pixels, a difference: above 0. blur_added: to the described row's, in pixels.
    """
    out = {"fidelity_gain": row[fidelity] - untouched[fidelity]}
    for name in GAPS:
        if described and name in row:
            out[f"{name}_kept"] = row[name] / described[name]
        if f"few_step_{name}" in row:
            out[f"gap_growth_{name}"] = untouched[f"few_step_{name}"] / row[f"few_step_{name}"]
    if described and BLUR in row:
        out["blur_added"] = row[BLUR] - described[BLUR]
    if f"few_step_{BLUR}" in row:
        out["gap_growth_blur"] = row[f"few_step_{BLUR}"] - untouched[f"few_step_{BLUR}"]
    return out


MATCHED_COLUMNS = ("value", "low", "high", "n") + tuple(
    f"{of}{end}" for of in ("against", "difference") for end in ("", "_low", "_high")
)


def matched(cells: Mapping[Key, Steps], trained: Sequence[str], baseline: str, fidelity: str, few: int) -> pd.DataFrame:
    """Every trained method beside the baseline at matched fidelity along training, in few steps.

    The level of a concept and seed is the highest fidelity that both of a pair reach; each is scored at its first
    checkpoint at or above it. Columns: score, method, value, low, high (of the method), against, against_low,
    against_high (of the baseline), difference, difference_low, difference_high, n; 95 % intervals over the concepts, seeds
    within them.
    """
    units = list(dict.fromkeys((concept, seed) for _, concept, seed in cells))
    rows = {key: [{"step": float(s)} | at(row, few) for s, row in steps.items()] for key, steps in cells.items()}
    out = []
    for method in (m for m in trained if m != baseline and baseline in trained):
        pairs = []
        for unit in units:
            pair = rows[method, *unit], rows[baseline, *unit]
            level = min(max(row[fidelity] for row in training) for training in pair)
            reached = [first_reaching(training, fidelity, level) for training in pair]
            (untouched,), (described,) = rows["untouched", *unit], rows.get(("described", *unit), [None])
            pairs.append([row | against_untouched(row, untouched, described, fidelity) for row in reached])
        names = [s for s in pairs[0][0] if all(s in row and not s.startswith(GAP) for pair in pairs for row in pair)]
        for score in names:
            mine, other = ([pair[k][score] for pair in pairs] for k in (0, 1))
            of = numbered([concept for concept, _ in units])
            line = {"score": score, "method": method, **interval(mine, of)}
            less = [a - b for a, b in zip(mine, other, strict=True)]
            line |= _prefixed("against", interval(other, of)) | _prefixed("difference", interval(less, of))
            out.append(line)
    return _numbers(pd.DataFrame(out, columns=["score", "method", *MATCHED_COLUMNS]))


def _prefixed(name: str, number: dict) -> dict:
    """A number's value and interval under other names; its n is the line's own."""
    return {name: number["value"], f"{name}_low": number["low"], f"{name}_high": number["high"]}


def matched_markdown(table: pd.DataFrame, names: Mapping[str, str], baseline: str) -> str:
    """`matched` as Markdown: a row a score. names: score -> what it is called."""
    rows = [
        {
            "score": names[r.score],
            "method": r.method,
            "at its checkpoint": number_text(r.value, r.low, r.high),
            baseline: number_text(r.against, r.against_low, r.against_high),
            "difference": number_text(r.difference, r.difference_low, r.difference_high, sign=True),
        }
        for r in lines(table.loc[table.score.isin(names)])
    ]
    if not rows:
        return f"Not measured: it needs {baseline} and another trained method.\n"
    return pd.DataFrame(rows).to_markdown(index=False) + "\n"


def number_text(value: float, low: float | None, high: float | None, sign: bool = False) -> str:
    """A number with its interval, if it has one: three decimals, one where it is 10 or more; a difference with its sign."""
    if low is None or high is None or low != low:  # one unit has no interval
        return f"{value:{'+' if sign else ''}.{3 if abs(value) < 10 else 1}f}"
    digits = 3 if max(abs(value), abs(low), abs(high)) < 10 else 1
    form = f"{'+' if sign else ''}.{digits}f"
    value, low, high = (round(x, digits) + 0.0 for x in (value, low, high))  # + 0.0: no negative zeros
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


def summary_markdown(table: pd.DataFrame, labels: Mapping[str, str], baseline: str) -> str:
    """`summary` as two Markdown tables: means, then differences to the baseline. labels: score -> what it is called."""
    table = table[table.score.isin(labels)].assign(score=lambda t: t.score.map(labels))
    order, methods = [x for x in labels.values() if x in set(table.score)], list(dict.fromkeys(table.method))
    mean = table.assign(text=[number_text(r.value, r.low, r.high) for r in lines(table)])
    parts = [mean.pivot(index="score", columns="method", values="text").loc[order, methods].to_markdown()]
    if "difference" in table:
        other = table.dropna(subset=["difference"])
        text = [number_text(r.difference, r.difference_low, r.difference_high, sign=True) for r in lines(other)]
        wide = other.assign(text=text).pivot(index="score", columns="method", values="text")
        parts.append(wide.loc[order, [m for m in methods if m != baseline]].to_markdown())
    return "\n\n".join(parts) + "\n"


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
