"""The study in some twenty numbers: what `dvc metrics diff` and `dvc exp show` put side by side."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dopsd.report.tables import lines

SCENES = ("concept_fidelity", "sharpness")  # of every method, at its last step
KEPT = (
    "adherence",
    "leakage@few",
    "retention_frechet@few",
    "few_step_frechet",
)  # of the trained ones; @few: in few steps
MATCHED = ("sharpness", "leakage", "retention_frechet")  # differences to SFT where both draw the concept equally well
PROBE = ("image_text", "wrong_image_text")


def headline(
    summary: pd.DataFrame, matched: pd.DataFrame, probe: dict, trained: Sequence[str], few: int
) -> dict[str, dict[str, float]]:
    """{method: {score: mean}}, {"at equal fidelity": {"score, method less sft": difference}}, {"probe": {context: share}}.

    summary, matched: see `tables`; probe: the stage's scores, of which the first VLM's in the native steps are shown.
    """
    out: dict[str, dict[str, float]] = {}
    for name in (*SCENES, *KEPT):
        for row in lines(summary.loc[summary.score == name.replace("@few", f"@{few}")]):
            if name in SCENES or row.method in trained:
                out.setdefault(row.method, {})[name.removesuffix("@few")] = row.value
    if not matched.empty:
        rows = matched.loc[matched.score.isin(MATCHED)]
        out["at equal fidelity"] = {f"{r.score}, {r.method} less sft": r.difference for r in lines(rows)}
    native = next(iter(next(iter(probe.values())).values()))
    out["probe"] = {context: native[context]["mean"]["value"] for context in PROBE if context in native}
    return out
