"""The rule that chooses each method's learning rate, on concepts that the comparison does not use.

Among the candidates: the largest fidelity at the last step, in few steps, as a mean over the concepts of the search: a score
of new pictures of the concept, 1 where "[V]" is drawn as it should be; the smallest of equal ones. What is kept of ordinary
prompts, over the untouched model's, and how much of the fidelity is bound to the name stand beside it and are not looked
at: they are what the comparison asks about.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

from dopsd.config.study import StepSize
from dopsd.evaluation.rows import NAMELESS, NEW, ORDINARY
from dopsd.support.errors import UserError
from dopsd.support.files import rounded

COLUMNS = ["method", "concept", "learning_rate", "key", "step", "fidelity", "retention", "binding"]


def _means(table: pd.DataFrame, kind: str, score: str) -> dict[int, float]:
    """The mean of a score over a kind's pictures at every step; UserError where no instrument gives it."""
    rows = table.loc[(table.kind == kind) & (table.score == score)]
    if rows.empty:
        raise UserError(f"params.yaml: step_size: no instrument gives {score!r} of {kind} pictures; name another score")
    return {int(step): float(r.value.mean()) for step, r in rows.groupby("step")}  # pyright: ignore[reportArgumentType]


def score(table: pd.DataFrame, untouched: pd.DataFrame, rule: StepSize) -> list[dict]:
    """Fidelity and retention of a candidate at the steps of its table: rows {step, fidelity, retention, binding}; the last
    one of prompts that the world made, None else.

    table, untouched: long tables (see `scores`), all in few steps.
    """
    (before,) = _means(untouched, ORDINARY, rule.retention).values()
    fidelity, kept = _means(table, NEW, rule.fidelity), _means(table, ORDINARY, rule.retention)
    nameless = _means(table, NAMELESS, rule.fidelity) if (table.kind == NAMELESS).any() else {}
    rows = []
    for step, value in fidelity.items():
        bound = rounded(value - nameless[step]) if step in nameless else None
        rows.append(
            {"step": step, "fidelity": rounded(value), "retention": rounded(kept[step] / before), "binding": bound}
        )
    return rows


def choose(table: pd.DataFrame, given: Mapping[str, float], same: Mapping[str, str] = MappingProxyType({})) -> dict:
    """The learning rate of each method: {method: {"value", "low", "high", "n"}}, low and high its neighbours among the n
    candidates (the resolution of the search); None, and n 0, where it was given. same: methods that take another's rate.
    table: rows of `COLUMNS`."""
    chosen = {m: {"value": rate, "low": None, "high": None, "n": 0} for m, rate in given.items()}
    for method, rows in table.groupby("method", sort=False):
        means = rows.loc[rows.step == rows.step.max()].groupby("learning_rate").fidelity.mean()
        rates, best = list(means.index), int(means.argmax())
        low, high = rates[max(best - 1, 0)], rates[min(best + 1, len(rates) - 1)]
        chosen[str(method)] = {"value": float(rates[best]), "low": float(low), "high": float(high), "n": len(rates)}
    return chosen | {m: chosen[of] for m, of in same.items() if of in chosen}
