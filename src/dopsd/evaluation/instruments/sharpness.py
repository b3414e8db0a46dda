"""Sharpness as the energy of high frequencies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from dopsd.config.section import Section
from dopsd.evaluation import by_world
from dopsd.evaluation.instruments import Score, View
from dopsd.evaluation.rows import NEW, ORDINARY
from dopsd.world.scenes import render

LAPLACIAN = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])


def sharpness(images: Tensor) -> Tensor:
    """High-frequency energy of each picture: mean squared Laplacian. (n, 3, H, W) in [-1, 1] -> (n,)."""
    kernel = LAPLACIAN.to(images).expand(images.shape[1], 1, 3, 3)
    return F.conv2d(images, kernel, groups=images.shape[1]).square().mean((1, 2, 3))


class Settings(Section):
    """It has none."""


class Sharpness:
    """The energy of pictures, and of the world's renders of the scenes that they were asked to show."""

    Settings = Settings
    scores: ClassVar = {
        "sharpness": Score("as untouched", "energy of high frequencies (mean squared Laplacian)", (NEW, ORDINARY)),
        "sharpness_renders": Score("as untouched", "the same of true renders", (NEW, ORDINARY), ("truth",)),
    }

    def __init__(self, settings: Settings, device: torch.device, opened: Callable[[str], Any]):
        """Nothing is opened."""

    def score(self, name: str, view: View) -> Tensor:
        """(n,)."""
        if name == "sharpness_renders":
            return sharpness(render(by_world.scenes_of(view.rows)))
        return torch.cat([sharpness(image[None]) for image in view.images])


INSTRUMENT = Sharpness
