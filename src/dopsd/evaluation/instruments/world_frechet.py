"""Frechet distance of a set of pictures to held-out renders of the miniature's world, in another instrument's features."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field

from dopsd.config.section import Name, Section
from dopsd.evaluation import distances
from dopsd.evaluation.instruments import Found, Score, View
from dopsd.evaluation.rows import ORDINARY
from dopsd.support.seeds import stream
from dopsd.world.scenes import render, sample_scenes


class Settings(Section):
    """features: of which instrument. renders: how many."""

    features: Name
    renders: Annotated[int, Field(ge=8)]


@cache
def held_out(n: int, seed: int) -> View:
    """n renders, the same for all that are scored in a process."""
    return View(ORDINARY, (), list(render(sample_scenes(n, stream("renders", seed)))))


class WorldFrechet:
    """Plain quality: how far ordinary prompts' pictures are from the world's."""

    Settings = Settings
    scores: ClassVar = {
        "quality_frechet": Score(
            "lower", "ordinary prompts: Frechet distance to held-out renders", (ORDINARY,), ("truth",), whole=True
        )
    }

    def __init__(self, settings: Settings, device: torch.device, opened: Callable[[str], Any]):
        self.eye, self.renders = opened(settings.features), settings.renders

    def score(self, name: str, view: View) -> Found:
        """Of the pictures with these numbers, to all renders."""
        mine = self.eye.features(view).double()
        world = self.eye.features(held_out(self.renders, view.rows[0].seed or 0)).double()
        return lambda k: distances.frechet(mine[k], world)


INSTRUMENT = WorldFrechet
