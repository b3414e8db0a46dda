"""Are training pictures drawn again? A prompt that says all of a training picture leaves to chance what no word says: the
exact place, the turn, the phases of textures, the lightness. A model that has learnt the picture by heart draws these, too.

So a picture is held against the training picture and against fresh renders of the same scene, equal in every word. Without
copying the training picture is any one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from dopsd.config.section import Section
from dopsd.evaluation import by_world
from dopsd.evaluation.instruments import Score, View
from dopsd.evaluation.rows import REWRITE
from dopsd.support.pictures import from_pil
from dopsd.support.seeds import stream
from dopsd.world.looks import LOOKS
from dopsd.world.scenes import FREE, Scenes, render

SIDE = 32  # pixels a side, at which pictures are compared: a blur of a pixel hides nothing
NEEDS = ("truth", "picture")


class Settings(Section):
    """renders: fresh ones of each scene."""

    renders: Annotated[int, Field(ge=8)]


def flat(images: Tensor | Sequence[Tensor]) -> Tensor:
    """(n, 3, 64, 64) -> (n, 3 SIDE SIDE), each without its mean and of unit norm: fog, which lowers contrast alone, makes no
    picture nearer to another."""
    small = F.interpolate(torch.stack(list(images)), (SIDE, SIDE), mode="area").flatten(1)
    return F.normalize(small - small.mean(1, keepdim=True), dim=1)


def fresh(scene: Scenes, n: int, name: str, look: str | None = None) -> Tensor:
    """n renders of one scene's attributes (1, 9), its free numbers drawn anew: (n, 3, 64, 64) in [-1, 1]. name: of the
    stream; look: one without words, laid over them."""
    free = torch.rand(n, FREE, generator=stream("copies", name))
    images = render(Scenes(scene.attributes.expand(n, -1), free))
    return LOOKS[look](images) if look else images


class Copies:
    """How near the training picture is among fresh renders of its own scene."""

    Settings = Settings
    scores: ClassVar = {
        "copy_rank": Score(
            "as untouched",
            "training pictures asked for in other words: share of fresh renders of that scene that are farther from what is "
            "drawn than the training picture is; .5: no copy, 1: a copy",
            (REWRITE,),
            NEEDS,
        ),
        "copied": Score("as untouched", "the same: whether the training picture is the nearest", (REWRITE,), NEEDS),
    }

    def __init__(self, settings: Any, device: torch.device, opened: Callable[[str], Any]):
        self.renders = settings.renders

    def score(self, name: str, view: View) -> Tensor:
        """(n,): a share in [0, 1], or 0 and 1."""
        nearer = view.once("copies", lambda: self._nearer(view))
        return (nearer == 0).float() if name == "copied" else 1 - nearer / self.renders

    def _nearer(self, view: View) -> Tensor:
        """How many fresh renders are nearer to each picture than the training picture that it belongs to: (n,)."""
        scenes, drawn, out = by_world.scenes_of(view.rows), flat(view.images), torch.empty(len(view.rows))
        look = (view.own or {}).get("look")
        targets = view.targets()
        for picture in dict.fromkeys(r.picture for r in view.rows):
            mine = [k for k, r in enumerate(view.rows) if r.picture == picture]
            others = flat(fresh(scenes[mine[:1]], self.renders, f"{picture}/{view.rows[mine[0]].id}", look))
            own = flat([from_pil(targets[mine[0]].image())])
            near = drawn[mine] @ own.T
            out[mine] = (drawn[mine] @ others.T > near).sum(1).float()
        return out


INSTRUMENT = Copies
