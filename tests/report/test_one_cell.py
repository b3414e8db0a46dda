"""A training beside the untouched model, from a long table."""

import pandas as pd
import pytest

from dopsd.evaluation.instruments import Score
from dopsd.report.one_cell import compared

SCORES = {
    "near": Score("higher", "how near", ("new", "rewrite")),
    "far": Score("lower", "how far", ("ordinary",), whole=True),
}


def row(step, kind, prompt, group, score, value):
    return {"step": step, "kind": kind, "prompt": prompt, "group": group, "score": score, "value": value}


def test_pictures_are_paired_and_their_groups_are_the_units():
    values = {0: (0.0, 0.2, 0.4, 0.6), 9: (0.3, 0.5, 0.9, 0.9)}
    table = pd.DataFrame(
        [row(s, "new", f"p{i}", "ab"[i // 2], "near", v) for s, vs in values.items() for i, v in enumerate(vs)]
    )
    out = compared(table, SCORES, 9, {"new": 4})
    assert set(out) == {"near"} and out["near"]["better"] == "higher" and out["near"]["says"] == "how near"
    assert out["near"]["untouched"]["value"] == pytest.approx(0.3) and out["near"]["tuned"]["value"] == pytest.approx(
        0.65
    )
    assert out["near"]["difference"]["value"] == pytest.approx(0.35) and out["near"]["difference"]["n"] == 2


def test_a_score_of_several_kinds_is_told_apart():
    table = pd.DataFrame([row(s, k, "p", "a", "near", 1.0) for s in (0, 9) for k in ("new", "rewrite")])
    assert set(compared(table, SCORES, 9, {"new": 1, "rewrite": 1})) == {"near (new)", "near (rewrite)"}


def test_sets_take_their_interval_from_the_blocks_left_out():
    rows = []
    for step, shift in ((0, 0.0), (9, 2.0)):
        rows.append(row(step, "ordinary", "", "", "far", 1.0 + shift))
        rows += [row(step, "ordinary", "", f"without {b}", "far", 1.0 + shift + d) for b, d in enumerate((0.1, -0.1))]
    out = compared(pd.DataFrame(rows), SCORES, 9, {"ordinary": 16})["far"]
    assert out["untouched"]["value"] == 1.0 and out["untouched"]["n"] == 16
    assert out["untouched"]["high"] == pytest.approx(1.0 + 1.96 * (0.5 * 0.02) ** 0.5)
    assert out["difference"] == pytest.approx({"value": 2.0, "low": 2.0, "high": 2.0, "n": 16})
