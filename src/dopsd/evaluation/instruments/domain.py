"""How near new pictures come to a domain (`world/domains.py`), whose name the training pictures' class is: Frechet and kernel
distance to held-out renders of it in the reader's features, and all that the reader finds in single pictures.

Distances of two domains are not of one size. So nearness says how much of the way from the world to the domain is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field

from dopsd.config.section import Section
from dopsd.evaluation import distances
from dopsd.evaluation.instruments import Found, Score, View
from dopsd.evaluation.instruments.reader import OWN, ByReader
from dopsd.evaluation.rows import NEW
from dopsd.support.errors import UserError
from dopsd.support.seeds import stream
from dopsd.world import domains
from dopsd.world.scenes import render, sample_scenes


class Settings(Section):
    """model: the folder of the reader's weights. renders: how many are held out."""

    model: str
    renders: Annotated[int, Field(ge=8)]


@cache
def held_out(name: str, n: int) -> View:
    """n renders of a domain, the same for all that are scored in a process."""
    return View(NEW, (), list(domains.renders(name, n, "held out")))


@cache
def world(n: int) -> View:
    """n renders of the world."""
    return View(NEW, (), list(render(sample_scenes(n, stream("domain", "world")))))


class Domain(ByReader):
    """As the reader, of concepts that are domains; and of sets."""

    Settings = Settings
    scores: ClassVar = {name: what for name, what in ByReader.scores.items() if not name.startswith(OWN)} | {
        "domain_nearness": Score(
            "higher",
            "new scenes: 1 less the next over that of the world's renders: 0 as far, 1 the domain's",
            (NEW,),
            ("training",),
            whole=True,
        ),
        "domain_frechet": Score(
            "lower", "new scenes: Frechet distance to held-out renders of the domain", (NEW,), ("training",), whole=True
        ),
        "domain_kid": Score(
            "lower", "new scenes: kernel distance (KID) to as many of these renders", (NEW,), ("training",), whole=True
        ),
    }

    def __init__(self, settings: Any, device: torch.device, opened: Callable[[str], Any]):
        super().__init__(settings, device, opened)
        self.renders = settings.renders

    def score(self, name: str, view: View) -> Found:  # pyright: ignore[reportIncompatibleMethodOverride] - of sets, too
        """(n,), or of the pictures with these numbers, to all renders; UserError where the training pictures' class is no
        domain."""
        of = view.items[0].class_name
        if not name.startswith("domain_"):
            return super().score(name, replace(view, own=domains.own(of)))
        if len(view.images) > self.renders:
            raise UserError(
                f"params.yaml: instruments.domain.renders {self.renders}: fewer than the {len(view.images)} pictures that "
                "are held against them; ask for more"
            )
        mine = self.features(view).double()
        wanted = self.features(held_out(of, self.renders)).double()
        if name == "domain_kid":
            return lambda k: distances.kid(mine[k], wanted[: len(k)])  # of sets of one size
        if name == "domain_frechet":
            return lambda k: distances.frechet(mine[k], wanted)
        far = view.once("of the world", lambda: distances.frechet(self.features(world(self.renders)).double(), wanted))
        return lambda k: 1 - distances.frechet(mine[k], wanted) / far


INSTRUMENT = Domain
