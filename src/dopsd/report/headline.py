"""The study in some twenty numbers: what `dvc metrics diff` and `dvc exp show` put side by side."""

from __future__ import annotations

import pandas as pd

from dopsd.config.study import Compared
from dopsd.report.tables import lines

REFERENCES = ("untouched", "described", "base")  # the floor, the ceiling, and the control that must fail
EVERY = (
    "fidelity",
    "blur_read",
)  # of these and of the compared methods, at the last step; fidelity: the score of params.yaml
TRAINED = (
    "adherence",
    "leakage@few",
    "retention_kid@few",
    "few_step_blur_read",
    "binding",
)  # of the compared ones; @few: in few steps
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
    compare: Compared,
    few: int,
    fidelity: str,
) -> dict[str, dict[str, float]]:
    """{method: {score: mean}}, {"at equal fidelity": {"score, method less baseline": difference}},
    {"probe": {context: share}}.

    summary, matched: see `tables` and `pairs`; probe: the stage's scores, if there are any, of which the first VLM's in the
    native steps are shown. However many rows a study has, the references and the two methods that it compares are shown.
    """
    pair = (compare.method, compare.baseline)
    out: dict[str, dict[str, float]] = {}
    for name in (*EVERY, *TRAINED):
        wanted = name.replace("@few", f"@{few}").replace("fidelity", fidelity)
        for row in lines(summary.loc[summary.score == wanted]):
            if row.method in pair or (name in EVERY and row.method in REFERENCES):
                out.setdefault(row.method, {})[wanted.removesuffix(f"@{few}")] = row.value
    if not matched.empty:
        rows = matched.loc[matched.score.isin(MATCHED) & (matched.method == compare.method)]
        less = f"{compare.method} less {compare.baseline}"
        out["at equal fidelity"] = {f"{r.score}, {less}": r.difference for r in lines(rows)}
    if probe:
        native = next(iter(next(iter(probe.values())).values()))
        means = {context: native[context].get("mean") for context in PROBE if context in native}
        out |= (
            {"probe": {context: mean["value"] for context, mean in means.items() if mean}}
            if any(means.values())
            else {}
        )
    return out
