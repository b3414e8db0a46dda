import numpy as np
import pytest

from dopsd.evaluation.statistics import interval, paired_difference


def test_the_interval_of_a_mean_is_students():
    out = interval([1.0, 2.0, 3.0, 4.0])
    assert out["value"] == 2.5 and out["n"] == 4
    half = 3.1824463 * np.std([1, 2, 3, 4], ddof=1) / 2  # t quantile with 3 degrees of freedom
    assert out["high"] - out["value"] == pytest.approx(half, rel=1e-6)


def test_shares_get_wilsons_interval_even_at_the_edges():
    out = interval(np.ones(100, dtype=bool))
    assert out["value"] == out["high"] == 1.0 and 0.95 < out["low"] < 0.97
    assert interval(np.ones(6))["low"] == 1.0  # six equal means are no votes


def test_groups_are_the_units():
    out = interval([0.0, 1.0, 1.0, 1.0], group=[0, 0, 1, 1])
    assert out["n"] == 2 and out["value"] == 0.75


def test_one_unit_has_no_interval_and_nothing_is_an_error():
    assert interval([0.3]) == {"value": 0.3, "low": None, "high": None, "n": 1}
    assert interval([0.25, 0.75], group=[1, 1])["low"] is None
    for bad in ([], [1.0, float("nan")]):
        with pytest.raises(ValueError, match="finite"):
            interval(bad)


def test_pairing_takes_the_common_spread_out():
    a, b = [1.0, 5.0, 9.0], [0.9, 4.8, 8.9]
    out = paired_difference(a, b)
    assert out["value"] == pytest.approx(0.4 / 3) and out["high"] - out["low"] < 0.5
    with pytest.raises(ValueError, match="equal lengths"):
        paired_difference([1.0], [1.0, 2.0])
