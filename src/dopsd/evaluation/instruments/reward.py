"""People's preference between pictures, as a contrastive model has learnt it (HPSv2, arXiv 2306.09341)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from dopsd.backbones import hub
from dopsd.config.section import Source
from dopsd.evaluation.instruments import Score, View
from dopsd.evaluation.instruments.clip import Contrastive, against_texts
from dopsd.evaluation.rows import NEW, REWRITE


class Settings(Source):
    """Weights in `file` for open_clip's `architecture`."""

    architecture: str
    file: str


class Reward:
    """A picture for its prompt."""

    Settings = Settings
    scores: ClassVar = {
        "reward": Score("higher", "people's preference, as the reward model has learnt it", (NEW, REWRITE))
    }

    def __init__(self, settings: Settings, device: torch.device, opened: Callable[[str], Any]):
        self.eye = Contrastive(fetch(settings), device, settings.architecture, settings.file)

    def score(self, name: str, view: View) -> Tensor:
        """(n,)."""
        return against_texts(self.eye, view, self.eye.image_features(view.images))


def fetch(settings: Settings) -> Path:
    """The folder of its file."""
    return hub.fetch(settings.model, settings.revision, "reward's model", (settings.file,))


INSTRUMENT = Reward
