"""The seed floor beside every difference: how far another training seed and other generation seeds move it by themselves.

Only where all trainings answer the same prompts from the same noises, as in studies of pictures: then every training seed
meets every generation seed, and their differences to the baseline are pairs of one concept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from math import sqrt
from statistics import fmean
from typing import NamedTuple

import pandas as pd

from dopsd.evaluation.rows import NEW, ORDINARY, REWRITE, Row
from dopsd.report.names import label, score_name
from dopsd.report.tables import lines, number_text

COLUMNS = ["score", "method", "difference", "low", "high", "floor", "over_floor", "training_seeds", "generation_seeds"]
KINDS = (NEW, REWRITE, ORDINARY)


class Seeds(NamedTuple):
    """A training seed, and the number of a noise among those that a prompt is drawn from; 0 for a score of a whole set."""

    training: int
    generation: int


def crossed(rows: Iterable[Row]) -> bool:
    """Whether every training answers the same prompts."""
    return all(row.seed is None for row in rows)


def generations(rows: Iterable[Row]) -> dict[str, int]:
    """{prompt's id: the number of its noise}: rows of one kind, group and text are one prompt, in the order of its noises."""
    met: Counter[tuple[str, str, str]] = Counter()
    out = {}
    for row in rows:
        key = row.kind, row.group, row.text
        out[row.id] = met[key]
        met[key] += 1
    return out


def _values(long: pd.DataFrame, noise: Mapping[str, int], few: int) -> dict[tuple[str, str], dict[str, dict]]:
    """{(score, method): {concept: {seeds: mean}}} at the last step, in few steps; scores are named as `cells.flat` does."""
    steps = long.groupby("method").step.transform("max")
    part = long.loc[(long.step == steps) & (long.nfe == few) & long.kind.isin(KINDS) & long.said.isna()]
    found: dict[tuple[str, str], dict[str, dict[Seeds, list[float]]]] = {}
    both = set(part.loc[part.kind == NEW, "score"])
    for r in lines(part.dropna(subset=["value"])):
        whole = r.prompt == ""
        if whole and r.group:  # with a block left out
            continue
        if r.kind == ORDINARY and not whole:  # told over the untouched model's: no plain difference
            continue
        name = f"{r.score}@{few}" if r.kind == ORDINARY else r.score
        name = f"{name} (rewritten)" if r.kind == REWRITE and r.score in both else name
        seeds = Seeds(int(r.seed), 0 if whole else noise[r.prompt])
        found.setdefault((name, r.method), {}).setdefault(r.concept, {}).setdefault(seeds, []).append(float(r.value))
    return {k: {c: {s: fmean(v) for s, v in of.items()} for c, of in by.items()} for k, by in found.items()}


def spread(differences: Iterable[Iterable[float]]) -> float | None:
    """The standard deviation of a seed pair's difference within a concept, over all concepts; None where none has two."""
    squares, free = 0.0, 0
    for each in map(list, differences):
        mean = fmean(each)
        squares += sum((d - mean) ** 2 for d in each)
        free += len(each) - 1
    return sqrt(squares / free) if free else None


def table(long: pd.DataFrame, rows: Iterable[Row], summary: pd.DataFrame, baseline: str, few: int) -> pd.DataFrame:
    """`COLUMNS`: a row a score and method that `summary` has a difference of, and whose floor can be told; NaN where there is
    one seed pair alone. long: the long table of scores; rows: all prompts."""
    values, out = _values(long, generations(rows), few), []
    for r in lines(summary.dropna(subset=["difference"])) if "difference" in summary else ():
        mine, base = values.get((r.score, r.method)), values.get((r.score, baseline))
        if mine is None or base is None:
            continue
        pairs = {c: {s: v - base[c][s] for s, v in of.items() if s in base.get(c, {})} for c, of in mine.items()}
        pairs = {c: of for c, of in pairs.items() if of}
        floor = spread(of.values() for of in pairs.values())
        seeds = [{s[k] for of in pairs.values() for s in of} for k in range(2)]
        over = abs(r.difference) / floor if floor else None
        known = (r.score, r.method, r.difference, r.difference_low, r.difference_high, floor, over, *map(len, seeds))
        out.append(dict(zip(COLUMNS, known, strict=True)))
    floats = dict.fromkeys(COLUMNS[2:7], float)
    return pd.DataFrame(out, columns=COLUMNS).astype(floats)


def in_words(found: pd.DataFrame, baseline: str) -> dict[str, str]:
    """{score: a table, a row a method}: the difference, the floor, and how often that goes into it."""
    out = {}
    for score, part in found.groupby("score", sort=False):
        rows = [
            {
                "": label(r.method),
                f"less {label(baseline)}": number_text(r.difference, r.low, r.high, sign=True),
                "seed floor": "" if pd.isna(r.floor) else f"{r.floor:.3g}",
                "over the floor": "" if pd.isna(r.over_floor) else f"{r.over_floor:.1f}",
                "training x generation seeds": f"{r.training_seeds} x {r.generation_seeds}",
            }
            for r in lines(part)
        ]
        out[score_name(str(score))] = pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)
    return out
