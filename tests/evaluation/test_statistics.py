import numpy as np
import pytest
import torch

from dopsd.evaluation.statistics import BLOCKS, EDGE, blocks, interval, jackknife, jackknifed, p_value, scaled, unscaled


def test_the_interval_of_a_mean_is_students():
    out = interval([1.0, 2.0, 3.0, 4.0])
    assert out["value"] == 2.5 and out["n"] == 4
    half = 3.1824463 * np.std([1, 2, 3, 4], ddof=1) / 2  # t quantile with 3 degrees of freedom
    assert out["high"] - out["value"] == pytest.approx(half, rel=1e-6)
    assert out["value"] - out["low"] == pytest.approx(half, rel=1e-6)
    assert interval([2.0, 4.0])["high"] == pytest.approx(3 + 12.7062047, rel=1e-6)  # one degree of freedom


def test_single_precision_is_taken_as_double():
    single = np.array([0.1, 0.2, 0.4, 0.7], dtype=np.float32)
    double = single.astype(np.float64)
    for scale in ("plain", "ratio", "share"):
        assert scaled(single, scale).dtype == np.float64 and (scaled(single, scale) == scaled(double, scale)).all()
    for group in (None, [0, 0, 1, 1]):
        assert interval(single, group) == interval(double, group)
    assert jackknifed(0.3, single, 4) == jackknifed(0.3, double, 4)


def test_shares_get_wilsons_interval_even_at_the_edges():
    out = interval(np.ones(100, dtype=bool))
    assert out["value"] == out["high"] == 1.0 and 0.95 < out["low"] < 0.97
    assert interval(np.ones(6))["low"] == 1.0  # six equal means are no votes
    z, n, share = 1.959964, 10, 0.3
    middle, half = share + z**2 / 2 / n, z * (share * (1 - share) / n + (z / 2 / n) ** 2) ** 0.5
    out = interval([True] * 3 + [False] * 7)
    assert out["value"] == pytest.approx(share) and out["n"] == n
    assert out["low"] == pytest.approx((middle - half) / (1 + z**2 / n), rel=1e-5)
    assert out["high"] == pytest.approx((middle + half) / (1 + z**2 / n), rel=1e-5)


def test_groups_are_the_units():
    out = interval([0.0, 1.0, 1.0, 1.0], group=[0, 0, 1, 1])
    assert out["n"] == 2 and out["value"] == 0.75
    assert out == interval([0.5, 1.0])
    assert interval([1.0, 2.0, 4.0, 6.0], group=[0, 1, 2, 2]) == interval([1.0, 2.0, 5.0])
    votes = interval([True, False, True, True], group=[7, 7, 3, 3])  # shares of groups, no votes
    assert votes == interval([1.0, 0.5])


def test_one_unit_has_no_interval_and_nothing_is_an_error():
    assert interval([0.3]) == {"value": 0.3, "low": None, "high": None, "n": 1}
    assert interval([0.25, 0.75], group=[1, 1])["low"] is None
    for bad in ([], [1.0, float("nan")], [float("inf"), 1.0]):
        with pytest.raises(ValueError, match=r"^an interval needs finite values, got \["):
            interval(bad)


def test_ratios_are_averaged_as_logs():
    out = interval([0.5, 2.0, 1.0], scale="ratio")
    assert out["value"] == pytest.approx(1.0) and out["n"] == 3  # .5 and 2 are equally far from 1
    half = 4.3026527 * np.log(2) / 3**0.5  # the deviation of -log 2, log 2 and 0 is log 2
    assert out["low"] == pytest.approx(np.exp(-half)) and out["high"] == pytest.approx(np.exp(half))
    assert interval([1.0, 3.0, 8.0], group=[0, 0, 1], scale="ratio")["value"] == pytest.approx(4.0)  # of 2 and 8
    assert interval([3.0], scale="ratio") == {"value": pytest.approx(3.0), "low": None, "high": None, "n": 1}
    for bad in ([1.0, 0.0], [-1.0, 2.0]):
        with pytest.raises(ValueError, match=r"^ratios must be above 0, got \["):
            interval(bad, scale="ratio")


def test_no_interval_of_shares_leaves_0_to_1():
    out = interval([1.0, 1.0, 0.9, 0.95], scale="share")
    assert 0.8 < out["low"] < out["value"] < out["high"] <= 1 < interval([1.0, 1.0, 0.9, 0.95])["high"]
    out = interval(
        [0.25, 0.75], scale="share"
    )  # sin^2 of 30 and 60 degrees: the mean is 45, the interval more than all
    assert out == {"value": pytest.approx(0.5), "low": 0.0, "high": 1.0, "n": 2}
    assert interval([0.0, 0.5, 1.0, 0.5], group=[0, 0, 1, 1], scale="share")["value"] == pytest.approx(0.5)
    assert interval([-EDGE, 1 + EDGE], scale="share")["value"] == pytest.approx(0.5)  # rounding is no error
    assert interval([1.0, 1.0], scale="share")["low"] == 1.0
    for bad in ([1.001, 0.5], [0.5, -0.001]):
        with pytest.raises(ValueError, match=r"^shares lie in \[0, 1\], got \["):
            interval(bad, scale="share")


def test_the_p_value_says_when_the_interval_touches_the_bar():
    values = [0.3, 0.5, 0.4, 0.7]
    for scale in ("plain", "ratio", "share"):
        out = interval(values, scale=scale)
        for end in ("low", "high"):
            assert p_value(values, out[end], scale=scale) == pytest.approx(0.05)
        assert p_value(values, out["value"], scale=scale) == pytest.approx(1.0)
    assert p_value([1.0, 2.0, 4.0, 6.0], 2.0, group=[0, 1, 2, 2]) == pytest.approx(p_value([1.0, 2.0, 5.0], 2.0))
    assert p_value([2.0], 1.0) is None and p_value([2.0, 4.0], 1.0, group=[1, 1]) is None
    assert p_value([0.2, 0.2], 0.2) == 1.0 and p_value([0.2, 0.2], 0.1) == 0.0
    with pytest.raises(ValueError, match="ratios must be above 0"):
        p_value([1.0, 2.0], 0.0, scale="ratio")


def test_what_a_scale_does_can_be_undone():
    for scale, values in (("plain", [-3.0, 7.0]), ("ratio", [0.2, 5.0]), ("share", [0.0, 0.3, 1.0])):
        assert [unscaled(x, scale) for x in scaled(values, scale)] == pytest.approx(values)
    assert unscaled(-0.3, "share") == 0.0 and unscaled(2.0, "share") == 1.0


def test_nearly_equal_values_warn_of_nothing(recwarn):
    out = interval([1.0, 1.0 + 1e-15, 1.0])
    assert out["low"] <= out["value"] <= out["high"]
    assert p_value([1.0, 1.0 + 1e-15, 1.0], 0.5) < 0.001 and not recwarn.list


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = torch.randn(12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    out = jackknife(lambda i: values[i].mean().item(), 12, 12)
    half = 1.96 * values.std().item() / 12**0.5
    assert out["n"] == 12 and out["value"] == values.mean().item()
    assert out["high"] - out["value"] == pytest.approx(half, rel=1e-10)
    assert out["value"] - out["low"] == pytest.approx(half, rel=1e-10)


def test_the_jackknife_leaves_out_each_unit_once():
    seen = []
    jackknife(lambda i: seen.append(i.tolist()) or 0.0, 3, 3)
    assert seen == [[0, 1, 2], [1, 2], [0, 2], [0, 1]]


def test_blocks_are_equal_and_left_out_whole():
    seen = []
    out = jackknife(lambda i: seen.append(i.tolist()) or float(len(i)), 6, 3)
    assert seen == [[0, 1, 2, 3, 4, 5], [1, 2, 4, 5], [0, 2, 3, 5], [0, 1, 3, 4]]
    assert out == {"value": 6.0, "low": 6.0, "high": 6.0, "n": 6}


def test_as_many_blocks_as_units_are_the_units_and_eight_are_the_default():
    values = torch.randn(80, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def mean(i):
        return values[i].mean().item()

    assert jackknife(mean, 30, 30) == jackknife(mean, 30, 99)
    means = torch.stack([values[b::8].mean() for b in range(8)])
    out = jackknife(mean, 80)
    assert BLOCKS == 8 and out["n"] == 80
    assert out["high"] - out["value"] == pytest.approx(1.96 * means.std().item() / 8**0.5)


def test_an_interval_comes_from_kept_values_as_from_the_statistic():
    values = torch.randn(20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    kept = [values[k].mean().item() for k in blocks(20, 5)]
    assert jackknifed(values.mean().item(), kept, 20) == jackknife(lambda k: values[k].mean().item(), 20, 5)
