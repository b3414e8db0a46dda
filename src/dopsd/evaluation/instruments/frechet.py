"""Frechet distance of a set of pictures to the untouched model's, in the features of another instrument."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch

from dopsd.config.section import Name, Section
from dopsd.evaluation import distances
from dopsd.evaluation.instruments import Found, Score, View
from dopsd.evaluation.rows import ORDINARY


class Settings(Section):
    """features: of which instrument."""

    features: Name


class Frechet:
    """To the untouched model's pictures."""

    Settings = Settings
    distance: ClassVar = staticmethod(distances.frechet)  # of sets that share no prompt and noise,
    paired: ClassVar = staticmethod(distances.frechet)  # and of those that do
    scores: ClassVar = {
        "retention_frechet": Score(
            "lower",
            "ordinary prompts: Frechet distance to the untouched model's pictures; biased in small sets, so look at "
            "differences only",
            (ORDINARY,),
            ("reference",),
            whole=True,
        )
    }

    def __init__(self, settings: Settings, device: torch.device, opened: Callable[[str], Any]):
        self.eye = opened(settings.features)

    def score(self, name: str, view: View) -> Found:
        """Of the pictures with these numbers; their reference's are as many."""
        assert view.reference is not None
        mine, before = (self.eye.features(v).double() for v in (view, view.reference))
        measure = self.paired if view.reference.kind == view.kind else self.distance
        return lambda k: measure(mine[k], before[k])


INSTRUMENT = Frechet
