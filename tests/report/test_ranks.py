"""Rank correlations of hand-made values, whose answers are known in advance."""

import numpy as np
import pytest
from scipy import stats

from dopsd.report.ranks import Ranked, ranked


def pairs(first, second, seeds=(0,)):
    return {(f"c{k}", seed): pair for k, pair in enumerate(zip(first, second, strict=True)) for seed in seeds}


def test_the_correlation_is_scipys_and_a_concepts_seeds_count_once():
    first, second = [1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 1.0, 4.0, 3.0, 5.0]
    one, two = ranked(pairs(first, second)), ranked(pairs(first, second, seeds=(0, 1)))
    assert one.rho == pytest.approx(stats.spearmanr(first, second).statistic) == pytest.approx(0.8)
    assert two.number == one.number and two.n == 5 and set(two.by_seed) == {0, 1}
    apart = pairs(first, second) | {(f"c{k}", 1): (a, -b) for k, (a, b) in enumerate(zip(first, second, strict=True))}
    assert ranked(apart) is None  # the seeds' means of the second are all 0
    assert Ranked(apart).by_seed == {0: pytest.approx(0.8), 1: pytest.approx(-0.8)}


def test_the_interval_holds_the_truth_as_often_as_it_says():
    random, rho, hit, away = np.random.default_rng(0), 0.7, 0, 0
    truth = 6 / np.pi * np.arcsin(rho / 2)  # Spearman's of a normal pair
    for _ in range(400):
        first, second = random.multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=13).T
        found = ranked(pairs(first, second))
        _, low, high = found.number
        hit += low <= truth <= high
        away += found.p(truth) < 0.05
    assert 0.92 <= hit / 400 <= 0.98 and away == 400 - hit  # p and interval are of one error


def test_what_has_no_interval_has_none():
    same = ranked(pairs([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]))
    assert same.number == (1.0, None, None) and same.p(0.0) is None
    assert ranked(pairs([1.0, 2.0, 3.0], [1.0, 3.0, 2.0])) is None
    assert ranked(pairs([1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0])) is None


def test_what_differs_by_rounding_is_tied():
    first, second = [0.930547, 0.930553, 0.5, 0.1], [0.9, 0.8, 0.7, 0.6]
    assert ranked(pairs(first, second)).rho == pytest.approx(stats.spearmanr([3, 3, 2, 1], [4, 3, 2, 1]).statistic)
