"""The rule that chooses each method's learning rate, on a concept that the comparison does not use.

Among the candidates: the largest mean of fidelity over the checkpoints, in few steps: a score of new pictures of the
concept, 1 where "[V]" is drawn as it should be. What is kept of ordinary prompts, over the untouched model's, stands beside
it and is not looked at: it is what the comparison asks about.
"""

from __future__ import annotations

import pandas as pd

from dopsd.config.study import StepSize
from dopsd.evaluation.rows import NEW, ORDINARY
from dopsd.support.errors import UserError
from dopsd.support.files import rounded

COLUMNS = ["method", "learning_rate", "key", "step", "fidelity", "retention"]


def _means(table: pd.DataFrame, kind: str, score: str) -> dict[int, float]:
    """The mean of a score over a kind's pictures at every step; UserError where no instrument gives it."""
    rows = table.loc[(table.kind == kind) & (table.score == score)]
    if rows.empty:
        raise UserError(f"params.yaml: step_size: no instrument gives {score!r} of {kind} pictures; name another score")
    return {int(step): float(r.value.mean()) for step, r in rows.groupby("step")}  # pyright: ignore[reportArgumentType]


def score(table: pd.DataFrame, untouched: pd.DataFrame, rule: StepSize) -> list[dict]:
    """Fidelity and retention at every checkpoint of a candidate: rows {step, fidelity, retention}.

    table, untouched: long tables (see `scores`), all in few steps.
    """
    (before,) = _means(untouched, ORDINARY, rule.retention).values()
    fidelity, kept = _means(table, NEW, rule.fidelity), _means(table, ORDINARY, rule.retention)
    rows = []
    for step, value in fidelity.items():
        f, r = rounded(value), rounded(kept[step] / before)
        rows.append({"step": step, "fidelity": f, "retention": r})
    return rows


def choose(table: pd.DataFrame, given: dict[str, float]) -> dict[str, dict]:
    """The learning rate of each method: {method: {"value", "low", "high", "n"}}, low and high its neighbours among the n
    candidates (the resolution of the search); None, and n 0, where it was given. table: rows of `COLUMNS`."""
    chosen = {m: {"value": rate, "low": None, "high": None, "n": 0} for m, rate in given.items()}
    for method, rows in table.groupby("method", sort=False):
        means = rows.groupby("learning_rate").fidelity.mean()
        rates, best = list(means.index), int(means.argmax())
        low, high = rates[max(best - 1, 0)], rates[min(best + 1, len(rates) - 1)]
        chosen[str(method)] = {"value": float(rates[best]), "low": float(low), "high": float(high), "n": len(rates)}
    return chosen
