"""The page's claims, from records and controls as the files have them."""

import pandas as pd
import pytest
from made_up import CONTROL, record

from dopsd.report import claimed


def negatives(*records, controls=(), turbos=True):
    return claimed.negatives(records, {r["id"]: list(controls) for r in records}, turbos)


def test_the_table_says_bar_number_units_turbos_controls_p_and_verdict():
    rows = claimed.table([record()], {"x": [CONTROL, CONTROL | {"row": "again", "did": False}]}, True).splitlines()
    cells = [cell.strip() for cell in rows[2].strip("|").split("|")]
    assert cells == [
        "claim x<br>*at equal fidelity*",
        ">= 0.2",
        "0.500 [0.400, 0.600]",
        "12",
        "turbo 0: 0.450<br>turbo 1: 0.550",
        "must fail: Base, undistilled 0.500 [0.400, 0.600]<br>must fail: Untouched, other noise 0.500 [0.400, 0.600] "
        "(**did not**: all of it lies short of the bar)",
        "0.020",
        "**holds**",
    ]
    plain = claimed.table([record(p_holm=1e-5)], {"x": []}, False)
    assert "on each seed" in rows[0].replace("turbo", "seed") and "seed 0: 0.450" in plain and "< 0.001" in plain
    assert "| none " in plain


def test_what_was_not_measured_has_no_number():
    nothing = {"value": None, "low": None, "high": None, "n_units": 0, "by_seed": {}, "p": None, "p_holm": None}
    text = claimed.table([record(verdict="not measured", **nothing)], {"x": []}, True)
    assert "| not measured " in text and "None" not in text and "nan" not in text
    assert negatives(record(verdict="not measured", **nothing)) == [
        "**not measured**: claim x. This study has not what it is about."
    ]


def test_commits_are_told_once_and_what_was_changed_since():
    assert claimed.commits([record("x"), record("y")]) == [
        "The bars of all claims: committed in `01234567`, 2026-01-02."
    ]
    changes = [{"commit": "ffffffffff", "date": "2026-02-03T00:00:00+00:00", "fields": ["seen", "claim"]}]
    later = record("y", claims_commit="not committed", claims_date="", changes=changes)
    assert claimed.commits([record("x"), later]) == [
        "The bars of x: committed in `01234567`, 2026-01-02.",
        "The bars of y: not committed.",
        "Changed later: y (seen, claim) in `ffffffff`, 2026-02-03.",
    ]


def test_negatives_come_from_the_verdicts_the_failed_first():
    found = negatives(
        record("a"),
        record("b", verdict="open", bar=0.5),
        record("c", verdict="fails", bar=0.7, at="last"),
    )
    assert found == [
        "**fails**: claim c (at the end): 0.500 [0.400, 0.600], the bar is >= 0.7.",
        "**open**: claim b (at equal fidelity): 0.500 [0.400, 0.600], the bar is >= 0.5; the interval contains the bar.",
    ]
    assert negatives(record()) == []


@pytest.mark.parametrize(("turbos", "one"), [(True, "turbo"), (False, "seed")])
def test_a_claim_may_be_open_by_one_turbo_alone(turbos, one):
    (said,) = negatives(record(verdict="open", bar=0.3), turbos=turbos)
    assert said.endswith(f"the bar is >= 0.3; the mean on one {one} lies short of it.")


def test_a_claim_that_cannot_be_decided_names_the_control():
    undecided = record(verdict="not decidable", p=None, p_holm=None)
    wrong = CONTROL | {"did": False, "why": "its interval contains the bar"}
    (said,) = negatives(undecided, controls=[CONTROL, wrong | {"row": "again"}])
    assert said.endswith(
        "; Untouched, other noise must fail and did not (0.500 [0.400, 0.600]: its interval contains the bar)."
    )
    missing = wrong | {"value": None, "low": None, "high": None}
    assert negatives(undecided, controls=[missing])[0].endswith("; Base, undistilled must fail and is not measured.")
    assert "(**did not**" not in claimed.table([undecided], {"x": [missing]}, True)
    assert negatives(undecided)[0].endswith("; one concept has no interval.")


def test_a_claim_that_holds_only_without_the_correction_is_said():
    (said,) = negatives(record(p_holm=0.19))
    assert said.startswith("**holds by its own interval alone**") and said.endswith(
        "among all claims of its family p is 0.190."
    )
    assert negatives(record(p_holm=0.049)) == []


def test_power_has_a_row_a_claim():
    columns = ["id", "score", "pilot_value", "n", "smallest_effect"]
    table = pd.DataFrame(
        [("x", "blur_added", 0.5, 5, 0.25), ("x", "blur_added", 0.5, 12, float("nan"))], columns=columns
    )
    row = claimed.power(table).splitlines()[2]
    assert [cell.strip() for cell in row.strip("|").split("|")] == ["x", "blur added", "0.500", "5", "0.250", "none"]
