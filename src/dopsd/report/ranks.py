"""Whether what one row gains tells what another one gains: Spearman's rank correlation over the concepts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from dopsd.evaluation.statistics import LEVEL, Scale
from dopsd.report.units import Unit, concept_means

FEWEST = 4  # concepts: of three the error is not known
TIED = 1e-4  # of their range: values nearer than this differ by rounding (a score keeps five digits)


@dataclass(frozen=True)
class Ranked:
    """Two rows' values of one score, (method, baseline) a unit; a concept's seeds are averaged first.

    The interval is Fisher's with the variance of Bonett and Wright (Psychometrika 65, 2000), (1 + rho^2 / 2) / (n - 3): none
    where both put all concepts in one order, or in the reverse one, since it would be a point.
    """

    values: Mapping[Unit, tuple[float, float]]
    scale: Scale = "plain"  # of the correlation, not of the values

    @property
    def n(self) -> int:
        """How many concepts it is over."""
        return len({concept for concept, _ in self.values})

    @property
    def rho(self) -> float:
        """NaN where one of the two has equal values alone."""
        return _rho(self.values)

    @property
    def _error(self) -> float | None:
        """Of Fisher's z."""
        plain = self.n >= FEWEST and abs(self.rho) < 1 - 1e-9
        return float(np.sqrt((1 + self.rho**2 / 2) / (self.n - 3))) if plain else None

    @property
    def number(self) -> tuple[float, float | None, float | None]:
        """The correlation and its 95 % interval."""
        if (error := self._error) is None:
            return self.rho, None, None
        reach = float(stats.norm.ppf((1 + LEVEL) / 2)) * error
        low, high = (float(np.tanh(np.arctanh(self.rho) + x)) for x in (-reach, reach))
        return self.rho, low, high

    @property
    def by_seed(self) -> dict[int, float]:
        """The correlation over the concepts of each seed, where it is one."""
        seeds = sorted({seed for _, seed in self.values})
        found = {seed: _rho({u: v for u, v in self.values.items() if u[1] == seed}) for seed in seeds}
        return {seed: rho for seed, rho in found.items() if rho == rho}

    def p(self, bar: float) -> float | None:
        """Two-sided p against a bar in (-1, 1); None where there is no interval."""
        if (error := self._error) is None:
            return None
        return float(2 * stats.norm.sf(abs(np.arctanh(self.rho) - np.arctanh(bar)) / error))


def _rho(values: Mapping[Unit, tuple[float, float]]) -> float:
    first, second = (concept_means({unit: pair[k] for unit, pair in values.items()}) for k in (0, 1))
    if min(len(set(first)), len(set(second))) < 2:
        return float("nan")
    return float(np.asarray(stats.pearsonr(_ranks(first), _ranks(second)))[0])


def _ranks(values: Sequence[float]) -> np.ndarray:
    """Ranks (n,) from 1, tied ones their mean."""
    order = np.argsort(values)
    steps = np.diff(np.asarray(values)[order], prepend=-np.inf) > TIED * np.ptp(values)
    groups = np.empty(len(values), dtype=int)
    groups[order] = steps.cumsum()
    return stats.rankdata(groups)


def ranked(values: Mapping[Unit, tuple[float, float]]) -> Ranked | None:
    """None where there is no correlation: fewer than `FEWEST` concepts, or equal values alone."""
    found = Ranked(values)
    return found if found.n >= FEWEST and found.rho == found.rho else None
