"""What can be wrong with a picture: known amounts of blur, lost contrast, fog and noise, to train and to try instruments."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BLUR, CONTRAST = 1.6, 0.25  # the most: pixels of a Gaussian's deviation; what is left of the contrast
REACH = 5  # pixels of a blur's kernel to either side


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur, an amount a picture: (n, 3, H, W), sigma (n,) in pixels, 0 for none -> the same shape."""
    at = torch.arange(-REACH, REACH + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (at[None] / sigma[:, None].clamp(min=1e-3)).square())
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(images.shape[1], 0)
    x = F.pad(images, (REACH,) * 4, mode="replicate").reshape(1, -1, *(s + 2 * REACH for s in images.shape[2:]))
    groups = len(kernel)
    x = F.conv2d(x, kernel[:, None, None, :], groups=groups)
    return F.conv2d(x, kernel[:, None, :, None], groups=groups).reshape(images.shape)


def faded(images: Tensor, contrast: Tensor) -> Tensor:
    """Every picture drawn towards its own mean colour: contrast (n,), 1 for none -> the same shape."""
    mean = images.mean((2, 3), keepdim=True)
    return mean + contrast[:, None, None, None] * (images - mean)


def fog(images: Tensor, share: Tensor) -> Tensor:
    """A share (n,) of grey laid over every picture, 0 for none."""
    return images * (1 - share[:, None, None, None])


def noise(images: Tensor, deviation: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Gaussian noise of a deviation (n,) in units of [-1, 1]."""
    drawn = torch.randn(images.shape, generator=generator, device=generator.device if generator else images.device)
    return images + deviation[:, None, None, None] * drawn.to(images)


def damaged(images: Tensor, share: float = 0.5) -> tuple[Tensor, Tensor]:
    """About a share of the pictures blurred and as many faded, independently, by random amounts up to `BLUR` and `CONTRAST`.

    -> (pictures, (n, 2) the blur in pixels and the contrast that is left).
    """
    n, where = len(images), images.device
    sigma = BLUR * torch.rand(n, device=where) * (torch.rand(n, device=where) < share)
    left = 1 - (1 - CONTRAST) * torch.rand(n, device=where) * (torch.rand(n, device=where) < share)
    return faded(blur(images, sigma), left), torch.stack([sigma, left], 1)
