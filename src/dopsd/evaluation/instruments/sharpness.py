"""Sharpness as the energy of high frequencies."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LAPLACIAN = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])


def sharpness(images: Tensor) -> Tensor:
    """High-frequency energy of each picture: mean squared Laplacian. (n, 3, H, W) in [-1, 1] -> (n,)."""
    kernel = LAPLACIAN.to(images).expand(images.shape[1], 1, 3, 3)
    return F.conv2d(images, kernel, groups=images.shape[1]).square().mean((1, 2, 3))
