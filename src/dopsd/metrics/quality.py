"""How good a set of pictures is: Frechet and kernel distance between sets of features, sharpness of each picture.

Both distances are torchmetrics' own. They are given features that are computed once (the reader's, see
`metrics.reader`), so that an interval by leaving one picture out costs no second pass through a network.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAPLACIAN = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])


ALONE = {"sync_on_compute": False}  # the process that scores has all pictures: others may wait elsewhere


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


def kid(features: Tensor, reference: Tensor) -> float:
    """Kernel distance (squared MMD, cubic polynomial kernel) of two sets of features of one size (n, d), n >= 2.

    The unbiased estimate over the whole sets (one subset of all pictures), so it can fall below 0 where the sets agree.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    with warnings.catch_warnings(action="ignore"):  # it warns at every call that it keeps all features
        metric = KernelInceptionDistance(Features(features.shape[1]), subsets=1, subset_size=len(features), **ALONE)
    metric.update(reference.double(), real=True)
    metric.update(features.double(), real=False)
    with torch.random.fork_rng(devices=[]):  # torchmetrics shuffles with the global generator
        return metric.compute()[0].item()


def jackknife(statistic: Callable[[Tensor], float], n: int) -> dict[str, float | int]:
    """A statistic of a whole set with its 95 % interval, by leaving one unit out at a time.

    statistic: takes the indices of the units to use (LongTensor). A bootstrap would repeat units, which lowers the rank
    of the covariances and moves a Frechet distance by more than the interval is wide.
    """
    everything = torch.arange(n)
    value = statistic(everything)
    without = torch.tensor([statistic(everything[everything != i]) for i in range(n)], dtype=torch.float64)
    error = ((n - 1) / n * ((without - without.mean()) ** 2).sum()).sqrt().item()
    return {"value": value, "low": value - 1.96 * error, "high": value + 1.96 * error, "n": n}


def jackknife_blocks(statistic: Callable[[Tensor], float], n: int, blocks: int = 40) -> dict[str, float | int]:
    """`jackknife` that leaves out one of `blocks` equal blocks at a time: the same interval, for large sets at a price
    that does not grow with n."""
    blocks = min(blocks, n)
    block = torch.arange(n) % blocks
    everything = torch.arange(n)
    out = jackknife(lambda k: statistic(everything[torch.isin(block, k)]), blocks)
    return out | {"n": n}


def sharpness(images: Tensor) -> Tensor:
    """High-frequency energy of each picture: mean squared Laplacian. (n, 3, H, W) in [-1, 1] -> (n,)."""
    kernel = LAPLACIAN.to(images).expand(images.shape[1], 1, 3, 3)
    return F.conv2d(images, kernel, groups=images.shape[1]).square().mean((1, 2, 3))
