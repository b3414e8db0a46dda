"""The rule that chooses each method's learning rate, on a concept that the comparison does not use.

Among the candidates: the largest mean, over the checkpoints, of (concept fidelity + retention of adherence) / 2, both in
few steps. The first is 1 when "[V]" is drawn as it should be, the second 1 when ordinary prompts are followed as before.
"""

from __future__ import annotations

import pandas as pd


def score(cell: dict, nfe: int) -> list[dict]:
    """Fidelity, retention and their mean at every checkpoint of a cell: rows {step, fidelity, retention, score}."""
    rows = []
    for step, at in cell["steps"].items():
        fidelity = at["scenes"][str(nfe)]["concept_fidelity"]["value"]
        retention = at["ordinary"][str(nfe)]["retention_adherence"]["value"]
        rows.append(
            {"step": int(step), "fidelity": fidelity, "retention": retention, "score": (fidelity + retention) / 2}
        )
    return rows


def choose(table: pd.DataFrame) -> dict[str, dict]:
    """The winner of each method: {method: {"value", "low", "high", "n"}}, low and high its neighbours among the n
    candidates (the resolution of the search). table: rows {method, learning_rate, step, score}."""
    chosen = {}
    for method, rows in table.groupby("method", sort=False):
        means = rows.groupby("learning_rate").score.mean()
        rates, best = list(means.index), int(means.argmax())
        low, high = rates[max(best - 1, 0)], rates[min(best + 1, len(rates) - 1)]
        chosen[method] = {"value": float(rates[best]), "low": float(low), "high": float(high), "n": len(rates)}
    return chosen
