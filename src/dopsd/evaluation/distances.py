"""How far a set of pictures is from another: Frechet and kernel distance between sets of features.

Both are torchmetrics' own. They are given features that are computed once (the reader's, see
`instruments.reader`), so that an interval by leaving one picture out costs no second pass through a network.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

ALONE: dict[str, Any] = {
    "sync_on_compute": False
}  # the process that scores has all pictures: others may wait elsewhere


class Features(nn.Identity):
    """The feature module for torchmetrics when the features are at hand already."""

    def __init__(self, num_features: int):
        super().__init__()
        self.num_features = num_features


def frechet(features: Tensor, reference: Tensor) -> float:
    """Frechet distance of two sets of features (n, d) and (m, d), n, m >= 2; 0 for equal sets.

    |mu_1 - mu_2|^2 + tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2)). Biased upwards in small sets: compare at equal n only.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(Features(features.shape[1]), **ALONE)
    metric.update(reference.double(), real=True)
    metric.update(features.double(), real=False)
    return metric.compute().item()


def kid_paired(features: Tensor, reference: Tensor) -> float:
    """`kid` of two sets whose pictures are pairs (equal prompts and noise): the pairs (x, x) are left out of the cross term,
    too, as the estimate leaves them out of the others. Else a set would be nearer to itself than to its like: below 0."""
    x, y = features.double(), reference.double()
    n, d = x.shape

    def kernel(a: Tensor, b: Tensor) -> float:
        k = (a @ b.T / d + 1) ** 3
        return float((k.sum() - k.diagonal().sum()) / (n * (n - 1)))

    return kernel(x, x) + kernel(y, y) - 2 * kernel(x, y)


def kid(features: Tensor, reference: Tensor) -> float:
    """Kernel distance (squared MMD, cubic polynomial kernel) of two sets of features of one size (n, d), n >= 2, which share
    no picture, prompt or noise.

    The unbiased estimate over the whole sets (one subset of all pictures), so it can fall below 0 where the sets agree.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    with warnings.catch_warnings(action="ignore"):  # it warns at every call that it keeps all features
        metric = KernelInceptionDistance(Features(features.shape[1]), subsets=1, subset_size=len(features), **ALONE)
    metric.update(reference.double(), real=True)
    metric.update(features.double(), real=False)
    with torch.random.fork_rng(devices=[]):  # torchmetrics shuffles with the global generator
        return metric.compute()[0].item()
