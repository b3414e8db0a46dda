"""Looks that no word of the world describes: what is done to a finished picture. Pretraining never sees them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

PAPER, FIRST, SECOND = (0.97, 0.94, 0.86), (0.05, 0.52, 0.50), (0.96, 0.36, 0.28)  # cream, teal, coral
SCREEN = 5.0  # pixels between the lines of the first ink's screen
SLIP = 2  # pixels by which the second ink is printed off its place


def riso(images: Tensor) -> Tensor:
    """A print in two inks: teal lines of a slanted screen, as wide as the picture is dark, and under them flat coral where
    it is neither dark nor light, two pixels off its place. Images (n, 3, 64, 64) in [-1, 1] -> the same; deterministic."""
    grey = (images.mean(1, keepdim=True) + 1) / 2
    side = torch.arange(images.shape[-1], device=images.device, dtype=images.dtype)
    wave = 0.5 + 0.5 * torch.sin((side[:, None] + side[None]) * (2 * math.pi / SCREEN))
    lines = torch.sigmoid(10 * (1 - grey - 0.15 - 0.7 * wave))
    moved = F.pad(grey, (SLIP, 0, SLIP, 0), mode="replicate")[..., : grey.shape[-2], : grey.shape[-1]]
    flat = torch.sigmoid(12 * (moved - 0.25)) * torch.sigmoid(12 * (0.72 - moved))

    def ink(colour: tuple[float, float, float]) -> Tensor:
        return torch.tensor(colour, device=images.device, dtype=images.dtype)[None, :, None, None]

    out = ink(PAPER) * (1 - flat) + ink(SECOND) * flat
    return (out * (1 - lines) + ink(FIRST) * lines) * 2 - 1


LOOKS = {"riso": riso}
