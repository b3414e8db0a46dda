"""How near new pictures come to a domain (`world/domains.py`), whose name the training pictures' class is: Frechet and kernel
distance to held-out renders of it in the reader's features, and all that the reader finds in single pictures."""

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
from dopsd.evaluation.instruments.reader import ByReader
from dopsd.evaluation.rows import NEW
from dopsd.support.errors import UserError
from dopsd.world import domains


class Settings(Section):
    """model: the folder of the reader's weights. renders: how many are held out."""

    model: str
    renders: Annotated[int, Field(ge=8)]


@cache
def held_out(name: str, n: int) -> View:
    """n renders of a domain, the same for all that are scored in a process."""
    return View(NEW, (), list(domains.renders(name, n, "held out")))


class Domain(ByReader):
    """As the reader, of concepts that are domains; and of sets."""

    Settings = Settings
    scores: ClassVar = ByReader.scores | {
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
        if name not in ("domain_frechet", "domain_kid"):
            return super().score(name, replace(view, own=domains.own(of)))
        if len(view.images) > self.renders:
            raise UserError(
                f"params.yaml: instruments.domain.renders {self.renders}: fewer than the {len(view.images)} pictures that "
                "are held against them; ask for more"
            )
        mine = self.features(view).double()
        world = self.features(held_out(of, self.renders)).double()
        if name == "domain_frechet":
            return lambda k: distances.frechet(mine[k], world)
        return lambda k: distances.kid(mine[k], world[: len(k)])  # of sets of one size


INSTRUMENT = Domain
