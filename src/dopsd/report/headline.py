"""The study in some twenty numbers: what `dvc metrics diff` and `dvc exp show` put side by side."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dopsd.report.tables import lines

EVERY = ("fidelity", "blur_read")  # of every method, at its last step; fidelity: the score of params.yaml
TRAINED = (
    "adherence",
    "leakage@few",
    "retention_kid@few",
    "few_step_blur_read",
    "binding",
)  # of the trained ones; @few: in few steps
MATCHED = (
    "contrast",
    "leakage",
    "retention_kid",
)  # differences to the baseline where both draw the concept equally well
PROBE = ("image_text", "wrong_image_text")


def headline(
    summary: pd.DataFrame,
    matched: pd.DataFrame,
    probe: dict | None,
    trained: Sequence[str],
    few: int,
    fidelity: str,
    baseline: str,
) -> dict[str, dict[str, float]]:
    """{method: {score: mean}}, {"at equal fidelity": {"score, method less baseline": difference}},
    {"probe": {context: share}}.

    summary, matched: see `tables` and `pairs`; probe: the stage's scores, if there are any, of which the first VLM's in the
    native steps are shown.
    """
    out: dict[str, dict[str, float]] = {}
    for name in (*EVERY, *TRAINED):
        wanted = name.replace("@few", f"@{few}").replace("fidelity", fidelity)
        for row in lines(summary.loc[summary.score == wanted]):
            if name in EVERY or row.method in trained:
                out.setdefault(row.method, {})[wanted.removesuffix(f"@{few}")] = row.value
    if not matched.empty:
        rows = matched.loc[matched.score.isin(MATCHED)]
        out["at equal fidelity"] = {f"{r.score}, {r.method} less {baseline}": r.difference for r in lines(rows)}
    if probe:
        native = next(iter(next(iter(probe.values())).values()))
        means = {context: native[context].get("mean") for context in PROBE if context in native}
        out |= (
            {"probe": {context: mean["value"] for context, mean in means.items() if mean}}
            if any(means.values())
            else {}
        )
    return out
