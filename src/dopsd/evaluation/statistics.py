"""Means with 95 % intervals over independent units, statistics of whole sets. Tests are scipy's."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from scipy import stats
from torch import Tensor

LEVEL = 0.95
BLOCKS = 8  # that a statistic of a whole set is computed without, one at a time
WITHOUT = "without "  # what stands before a block's number, where its value is kept
Scale = Literal["plain", "ratio", "share"]
EDGE = 1e-9  # by which rounding may put a share outside of [0, 1]
Number = dict[str, float | int | None]  # value, low, high (None where there is no interval), n


def scaled(values: Sequence[float] | np.ndarray, scale: Scale) -> np.ndarray:
    """Values (n,) on the scale that their mean is taken on: as they are ("plain"), their logs ("ratio"), or arcsin sqrt x
    ("share"), all of float64.

    Raises ValueError on a ratio that is not above 0, and on a share that is more than `EDGE` outside of [0, 1].
    """
    values = np.asarray(values, dtype=np.float64)
    if scale == "ratio":
        if (values <= 0).any():
            raise ValueError(f"ratios must be above 0, got {values}")
        return np.log(values)
    if scale == "share":
        if (values < -EDGE).any() or (values > 1 + EDGE).any():
            raise ValueError(f"shares lie in [0, 1], got {values}")
        return np.arcsin(np.sqrt(values.clip(0, 1)))
    return values


def unscaled(value: float, scale: Scale) -> float:
    """A number on a scale as what it stands for; what lies beyond the ends of the shares is 0 or 1."""
    if scale == "ratio":
        return float(np.exp(value))
    return float(np.sin(np.clip(value, 0, np.pi / 2)) ** 2) if scale == "share" else float(value)


def _units(values: Sequence[float] | np.ndarray, group: Sequence[int] | np.ndarray | None) -> np.ndarray:
    """The means of the groups, or the values themselves; ValueError where there is none or one that is not finite."""
    values = np.asarray(values, dtype=np.float64)
    if group is not None:
        group = np.asarray(group)
        values = np.array([values[group == g].mean() for g in np.unique(group)])
    if not len(values) or not np.isfinite(values).all():
        raise ValueError(f"an interval needs finite values, got {values}")
    return values


def interval(
    values: Sequence[float] | np.ndarray, group: Sequence[int] | np.ndarray | None = None, scale: Scale = "plain"
) -> dict:
    """Mean of values (n,) with a 95 % interval -> {"value", "low", "high", "n"}.

    group (n,): values of one group are averaged first and the group is the unit (pictures of one prompt, say); n counts
    units. scale: what mean and interval of the units are taken on (`scaled`), and brought back from: the mean of ratios is
    their geometric one, and no interval of shares leaves [0, 1]. Truth values (bool) get Wilson's interval, all else
    Student's t; one unit alone has no interval: low and high are None. Raises ValueError on no values, on one that is not
    finite, and on one that is not of the scale.
    """
    yes_no = np.asarray(values).dtype == bool and group is None
    values = scaled(_units(values, group), scale)
    mean, n = float(values.mean()), len(values)
    if yes_no:
        low, high = stats.binomtest(round(values.sum()), n).proportion_ci(LEVEL, method="wilson")
    elif n == 1:
        return {"value": unscaled(mean, scale), "low": None, "high": None, "n": n}
    elif values.std() > 0:
        with warnings.catch_warnings(action="ignore"):  # nearly equal values lose precision in the test, not here
            low, high = stats.ttest_1samp(values, 0.0).confidence_interval(LEVEL)
    else:
        low = high = mean
    return {name: unscaled(x, scale) for name, x in (("value", mean), ("low", low), ("high", high))} | {"n": n}


def p_value(
    values: Sequence[float] | np.ndarray,
    bar: float,
    group: Sequence[int] | np.ndarray | None = None,
    scale: Scale = "plain",
) -> float | None:
    """Two-sided p of Student's t test of the units' mean against a bar, on a scale; None for one unit alone. Arguments and
    errors as in `interval`; the bar must be of the scale, too."""
    values, at = scaled(_units(values, group), scale), float(scaled([bar], scale)[0])
    if len(values) == 1:
        return None
    if not values.std() > 0:  # equal units: the test has nothing to divide by
        return float(np.isclose(values[0], at))
    with warnings.catch_warnings(action="ignore"):
        test: Any = stats.ttest_1samp(values, at)  # its declared type has no pvalue
    return float(test.pvalue)


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
