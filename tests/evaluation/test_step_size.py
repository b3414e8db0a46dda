"""The rule that chooses learning rates, on tables whose answers are known."""

import pandas as pd
import pytest

from dopsd.config.study import StepSize
from dopsd.evaluation import step_size
from dopsd.evaluation.rows import NAMELESS, NEW, ORDINARY

LAST = {  # fidelity at the last step, of two concepts, at three rates
    "sft": {"medal": (0.2, 0.6, 0.9), "tapestry": (0.4, 0.8, 0.3)},  # means .3, .7, .6: neither concept's own best
    "dopsd": {"medal": (0.5, 0.7, 0.6), "tapestry": (0.3, 0.5, 0.6)},  # .4, .6, .6: a tie
}
RATES = (1e-4, 1e-3, 1e-2)


def searched(early: float = 0.0) -> pd.DataFrame:
    """A search's table. early: fidelity at a checkpoint before the last, times the rate's place from the right."""
    rows = []
    for method, concepts in LAST.items():
        for concept, values in concepts.items():
            for k, (rate, value) in enumerate(zip(RATES, values, strict=True)):
                of = {"method": method, "concept": concept, "learning_rate": rate, "key": "k"}
                kept = {"retention": 1.0 - k, "binding": None}
                rows += [
                    of | {"step": 20, "fidelity": early * (2 - k)} | kept,
                    of | {"step": 40, "fidelity": value} | kept,
                ]
    return pd.DataFrame(rows, columns=step_size.COLUMNS).sample(frac=1, random_state=0)


def test_a_rate_is_chosen_over_the_concepts_by_the_last_step_and_of_equal_ones_the_smaller():
    chosen = step_size.choose(searched(), {})
    assert chosen["sft"] == {"value": 1e-3, "low": 1e-4, "high": 1e-2, "n": 3}
    assert chosen["dopsd"]["value"] == 1e-3
    assert step_size.choose(searched(early=10.0), {}) == chosen  # earlier checkpoints are not looked at


def test_a_rate_is_given_or_another_methods():
    chosen = step_size.choose(searched(), {"other": 3e-4}, {"wrong": "dopsd", "like": "other", "lost": "none"})
    assert chosen["wrong"] == chosen["dopsd"] and chosen["like"] == chosen["other"]
    assert chosen["other"] == {"value": 3e-4, "low": None, "high": None, "n": 0}
    assert set(chosen) == {"sft", "dopsd", "other", "wrong", "like"}


def long(rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["step", "kind", "score", "value"]).assign(nfe=4, said=float("nan"), group="0")


def test_a_candidates_scores_at_each_checkpoint():
    fidelity, kept = "concept_fidelity", "adherence"
    table = long(
        [
            *((20, NEW, fidelity, v) for v in (0.2, 0.4)),
            *((40, NEW, fidelity, v) for v in (0.6, 1.0)),
            *((40, NAMELESS, fidelity, v) for v in (0.1, 0.2)),
            (20, ORDINARY, kept, 0.9),
            (40, ORDINARY, kept, 0.3),
            (40, NEW, kept, 0.0),
        ]
    )
    before = long([(0, ORDINARY, kept, 0.6)])
    first, last = step_size.score(table, before, StepSize())
    assert (first["step"], first["binding"]) == (20, None) and (last["step"], last["binding"]) == (
        40,
        pytest.approx(0.65),
    )
    assert (first["fidelity"], last["fidelity"]) == (pytest.approx(0.3), pytest.approx(0.8))
    assert (first["retention"], last["retention"]) == (pytest.approx(1.5), pytest.approx(0.5))
    nameless = step_size.score(table[table.kind != NAMELESS], before, StepSize())
    assert [row["binding"] for row in nameless] == [None, None]
