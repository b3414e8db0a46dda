"""Trainings side by side: hand-made cells of one score along training, whose answers are known in advance."""

import pytest
from made_up import TRAINED, cells_of

from dopsd.report import pairs, sections
from dopsd.report.along import MATCHED, Trainings, crossing

FIDELITY = "concept_fidelity"
FORWARDS = {"sft": 3, "dopsd": 16}
UNITS = [("beacon", 0), ("beacon", 1), ("fresco", 0), ("fresco", 1)]


def along(**steps):
    """Cells that are alike on every unit: {method: {step: row}}."""
    return {(m, c, s): rows for m, rows in steps.items() for c, s in UNITS}


def row(fidelity, contrast, **more):
    return {FIDELITY: fidelity, "contrast": contrast, **more}


CELLS = along(
    untouched={0: row(0.1, 1.0, binding=0.0)},
    sft={10: row(0.3, 0.8), 20: row(0.7, 0.6), 40: row(0.6, 0.5, binding=0.2)},
    dopsd={10: row(0.5, 0.9), 20: row(0.9, 0.7, binding=0.5)},
)


def trainings(cells=CELLS, trained=TRAINED, forwards=FORWARDS):
    return Trainings(cells, trained, FIDELITY, 4, forwards)


def table(cells=CELLS, baselines=("sft",), **changes):
    return pairs.pairs(trainings(cells, **changes), baselines).set_index(["at", "score"])


def test_a_level_is_crossed_between_two_checkpoints():
    rows = [
        {"step": 0.0, "x": 0.1, "y": 2.0},
        {"step": 10.0, "x": 0.5, "y": 1.0},
        {"step": 20.0, "x": 0.3, "y": 3.0, "z": 1},
    ]
    assert crossing(rows, "x", 0.2) == pytest.approx({"step": 2.5, "x": 0.2, "y": 1.75})
    assert crossing(rows, "x", 0.1)["step"] == 0 and crossing(rows, "x", 0.05)["step"] == 0
    assert crossing(rows, "x", 0.5) == {
        "step": 10.0,
        "x": 0.5,
        "y": 1.0,
    }  # and the last row's own score is nowhere else
    with pytest.raises(ValueError, match=r"no checkpoint reaches a x of 0\.6"):
        crossing(rows, "x", 0.6)


def test_equal_fidelity_is_the_highest_that_both_reach_first():
    found = table()
    # sft is at .7 at best, at step 20; dopsd is there half way from .5 (step 10) to .9 (step 20)
    at = found.loc["fidelity"]
    assert at.loc["step", "value"] == pytest.approx(15) and at.loc["step", "against"] == pytest.approx(20)
    assert at.loc["contrast", "value"] == pytest.approx(0.8) and at.loc["contrast", "against"] == pytest.approx(0.6)
    assert at.loc["contrast", "difference"] == pytest.approx(0.2) and at.loc["contrast", "n"] == 2
    assert at.loc["fidelity_gain", "value"] == pytest.approx(0.6) == at.loc["fidelity_gain", "against"]
    assert at.loc["forwards", "difference"] == pytest.approx(15 * 16 - 20 * 3)
    assert at.loc[MATCHED, "difference"] == pytest.approx(0)


def test_equal_steps_and_equal_forwards_are_the_smaller_of_the_two():
    found = table()
    # dopsd ends at step 20; in forwards sft does, at 120, where dopsd is at step 7.5 of 20
    assert tuple(found.loc[("steps", "contrast"), ["value", "against"]]) == pytest.approx((0.7, 0.6))
    assert tuple(found.loc[("steps", FIDELITY), ["value", "against"]]) == pytest.approx((0.9, 0.7))
    assert tuple(found.loc[("forwards", "step"), ["value", "against"]]) == pytest.approx((7.5, 40))
    assert found.loc[("forwards", FIDELITY), "value"] == pytest.approx(0.1 + 0.4 * 0.75)
    assert found.loc[("forwards", FIDELITY), "against"] == pytest.approx(0.6)


def test_what_only_the_last_step_has_is_compared_there():
    found = table()
    assert set(found.loc["last"].index) == {"binding"}
    assert tuple(found.loc[("last", "binding"), ["value", "against", "difference"]]) == pytest.approx((0.5, 0.2, 0.3))
    assert all("binding" not in found.loc[place].index for place in ("fidelity", "steps", "forwards"))


def test_two_trainings_that_learn_nothing_are_compared_untouched():
    worse = CELLS | along(sft={10: row(0.05, 0.4), 20: row(0.0, 0.3)})
    at = table(worse).loc["fidelity"]
    assert at.loc["step", "value"] == at.loc["step", "against"] == 0
    assert at.loc["contrast", "value"] == at.loc["contrast", "against"] == pytest.approx(1.0)


def test_fidelity_counts_what_the_teacher_can_draw():
    def own(shape, colour):
        return row((shape + colour) / 2, 1.0, own_shape=shape, own_colour=colour)

    cells = along(untouched={0: own(0.0, 0.0)}, sft={10: own(0.8, 0.0)}, dopsd={10: own(0.4, 1.0)})
    both = ["own_shape", "own_colour"]
    assert trainings(cells).taught == {"beacon": both, "fresco": both}  # no teacher
    assert table(cells).loc[("fidelity", MATCHED), "value"] == pytest.approx(0.4)

    teacher = {("teacher", "beacon", 0): {0: own(0.9, 0.4)}, ("teacher", "beacon", 1): {0: own(0.9, 0.5)}}
    teacher |= {("teacher", "fresco", seed): {0: own(0.1, 0.4)} for seed in (0, 1)}
    taught = trainings(cells | teacher)
    assert taught.taught == {
        "beacon": ["own_shape"],
        "fresco": ["own_shape", "own_colour"],
    }  # .45 of the colour; neither
    pair = taught.pair("fidelity", "sft", "dopsd")
    assert pair["beacon", 0][0]["step"] == pytest.approx(5) and pair["beacon", 0][1]["step"] == pytest.approx(10)
    assert pair["fresco", 0][0][MATCHED] == pytest.approx(0.4)


def test_the_difference_on_each_seed_is_over_the_concepts():
    cells = {key: dict(steps) for key, steps in CELLS.items()}
    cells["dopsd", "beacon", 1] = {10: row(0.5, 0.9), 20: row(0.9, 0.7, binding=0.9)}
    line = table(cells).loc[("last", "binding")]
    assert line.difference_seed_0 == pytest.approx(0.3)
    assert line.difference_seed_1 == pytest.approx((0.7 + 0.3) / 2)
    assert line.difference == pytest.approx(0.4) and line.difference_low < 0.4 < line.difference_high


def test_a_score_is_compared_on_the_concepts_that_have_it():
    cells = dict(CELLS)
    for seed in (0, 1):
        cells["described", "beacon", seed] = {0: row(1.0, 0.5)}  # none of fresco, as of a look
    found = table(cells)
    assert found.loc[("fidelity", "contrast_kept"), "n"] == 1
    assert found.loc[("fidelity", "contrast_kept"), "value"] == pytest.approx(0.8 / 0.5)
    del cells["described", "beacon", 1]
    assert ("fidelity", "contrast_kept") not in table(cells).index  # on one of its seeds alone


def test_a_ratio_without_a_logarithm_is_left_out():
    cells = along(
        untouched={0: row(0.1, 1.0, few_step_contrast=1.0)},
        sft={10: row(0.5, 1.0, few_step_contrast=0.5)},
        dopsd={10: row(0.5, 1.0, few_step_contrast=-0.1)},
    )
    assert ("fidelity", "few_step_contrast") not in table(cells).index
    assert ("fidelity", "contrast") in table(cells).index


def test_every_trained_method_is_held_against_every_baseline():
    cells = CELLS | along(off_policy={10: row(0.2, 0.9)})
    trained, forwards = [*TRAINED, "off_policy"], FORWARDS | {"off_policy": 16}
    found = pairs.pairs(trainings(cells, trained, forwards), ["sft", "dopsd", "sft", "described", "nobody"])
    assert list(found[["method", "baseline"]].drop_duplicates().itertuples(index=False, name=None)) == [
        ("dopsd", "sft"),
        ("off_policy", "sft"),
        ("sft", "dopsd"),
        ("off_policy", "dopsd"),
    ]
    part = pairs.matched(found, "sft")
    assert list(part) == ["score", "method", *pairs.NUMBERS] and set(part.method) == {"dopsd", "off_policy"}
    assert not part.duplicated(["score", "method"]).any()


def test_matched_sets_each_row_beside_the_untouched_model():
    every = pairs.pairs(trainings(cells_of()), ["sft"])
    found = pairs.matched(every, "sft").set_index("score")
    # untouched: .1 (+ .1 for seed 1); sft reaches .54 at step 40; dopsd has .72 at step 20
    assert found.loc["step", "against"] == 40 and found.loc["step", "value"] == pytest.approx(20 * 0.44 / 0.62)
    assert found.loc["concept_fidelity", "value"] == pytest.approx(0.59) == found.loc["concept_fidelity", "against"]
    assert found.loc["gap_growth_blur", "against"] == pytest.approx(0.4)
    assert found.loc["gap_growth_contrast", "against"] == pytest.approx((0.1 / 0.5 + 0.2 / 0.6) / 2)
    assert found.loc["contrast_kept", "low"] == found.loc["contrast_kept", "value"]  # concepts are equal here
    text = sections.side_by_side(every, "dopsd", "sft", 4, 32)
    assert "| new scenes: contrast (1 = renders)" in text and "| D-OPSD" in text and "0.590 [" in text
