"""The study in some twenty numbers: what `dvc metrics diff` and `dvc exp show` put side by side."""

from __future__ import annotations

import pandas as pd

LAST = (  # of each method, at its last step; @few and @many stand for the NFE
    "concept_fidelity",
    "adherence",
    "sharpness",
    "leakage@few",
    "retention_frechet@few",
    "few_step_frechet",
)
MATCHED = ("sharpness", "leakage", "retention_frechet")  # differences to SFT where both draw the concept equally well


def headline(summary: pd.DataFrame, matched: pd.DataFrame, probe: dict, few: int) -> dict[str, dict[str, float]]:
    """{method: {score: mean}}, {"at equal fidelity": {"score, method less sft": difference}}, {"probe": {context: share}}.

    summary, matched: see `tables`; probe: the stage's scores, of which the first VLM's in the native steps are shown.
    """
    out: dict[str, dict[str, float]] = {}
    for name in LAST:
        for row in summary[summary.score == name.replace("@few", f"@{few}")].itertuples():
            out.setdefault(row.method, {})[name.removesuffix("@few")] = row.value
    if not matched.empty:
        rows = matched[matched.score.isin(MATCHED)]
        out["at equal fidelity"] = {f"{r.score}, {r.method} less sft": r.difference for r in rows.itertuples()}
    native = next(iter(next(iter(probe.values())).values()))
    out["probe"] = {context: scores["mean"]["value"] for context, scores in native.items()}
    return out
