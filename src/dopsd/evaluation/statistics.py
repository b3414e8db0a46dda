"""Means with 95 % intervals over independent units, paired differences, statistics of whole sets. Tests are scipy's."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy import stats
from torch import Tensor

LEVEL = 0.95
BLOCKS = 8  # that a statistic of a whole set is computed without, one at a time
WITHOUT = "without "  # what stands before a block's number, where its value is kept
Number = dict[str, float | int | None]  # value, low, high (None where there is no interval), n


def interval(values: Sequence[float] | np.ndarray, group: Sequence[int] | np.ndarray | None = None) -> dict:
    """Mean of values (n,) with a 95 % interval -> {"value", "low", "high", "n"}.

    group (n,): values of one group are averaged first and the group is the unit (pictures of one prompt, say); n counts
    units. Truth values (bool) get Wilson's interval, all else Student's t; one unit alone has no interval: low and high
    are None. Raises ValueError on no values or on one that is not finite.
    """
    yes_no = np.asarray(values).dtype == bool and group is None
    values = np.asarray(values, dtype=np.float64)
    if group is not None:
        group = np.asarray(group)
        values = np.array([values[group == g].mean() for g in np.unique(group)])
    if not len(values) or not np.isfinite(values).all():
        raise ValueError(f"an interval needs finite values, got {values}")
    mean, n = float(values.mean()), len(values)
    if yes_no:
        low, high = stats.binomtest(round(values.sum()), n).proportion_ci(LEVEL, method="wilson")
    elif n == 1:
        return {"value": mean, "low": None, "high": None, "n": n}
    elif values.std() > 0:
        with warnings.catch_warnings(action="ignore"):  # nearly equal values lose precision in the test, not here
            low, high = stats.ttest_1samp(values, 0.0).confidence_interval(LEVEL)
    else:
        low = high = mean
    return {"value": mean, "low": float(low), "high": float(high), "n": n}


def paired_difference(values: Sequence[float], other: Sequence[float]) -> dict:
    """Mean of values - other, unit by unit, with its 95 % interval; ValueError where the lengths differ."""
    if len(values) != len(other):
        raise ValueError(f"pairs need equal lengths, got {len(values)} and {len(other)}")
    return interval(np.asarray(values, dtype=np.float64) - np.asarray(other, dtype=np.float64))


def blocks(n: int, most: int) -> list[Tensor]:
    """For each of at most so many equal blocks of n units, the numbers of all others: LongTensors."""
    block = torch.arange(n) % min(most, n)
    return [(block != b).nonzero()[:, 0] for b in range(min(most, n))]


def jackknifed(value: float, without: Sequence[float], n: int) -> Number:
    """A statistic of a whole set of n units with its 95 % interval, from its values without one block each.

    A bootstrap would repeat units, which lowers the rank of the covariances and moves a Frechet distance by more than the
    interval is wide.
    """
    left = np.asarray(without, dtype=np.float64)
    error = float(np.sqrt((len(left) - 1) / len(left) * ((left - left.mean()) ** 2).sum()))
    return {"value": value, "low": value - 1.96 * error, "high": value + 1.96 * error, "n": n}


def jackknife(statistic: Callable[[Tensor], float], n: int, most: int = BLOCKS) -> Number:
    """`jackknifed` of a statistic that takes the numbers of the units to use (LongTensor), with at most so many blocks."""
    return jackknifed(statistic(torch.arange(n)), [statistic(k) for k in blocks(n, most)], n)
