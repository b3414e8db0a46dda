"""How much of a picture that was seen beside the prompt is in what is drawn: of its concept, and of the scene around that."""

from __future__ import annotations

import torch
from torch import Tensor

from dopsd.evaluation import fidelity
from dopsd.evaluation.seen import Seen
from dopsd.world.scenes import NAMES, visible

LEAKS, OVERRULES, OBEYS = "leaks_", "overrules", "obeys"  # scores; the first stands before an attribute


def of_seen(read: Tensor, wanted: Tensor, stated: Tensor, of: Seen) -> dict[str, Tensor]:
    """How much of a seen picture, its concept apart, is in what is drawn: a number a picture (n,), NaN where it has none.

    read, wanted (n, 9): the attributes of what is drawn, and of the prompt's scene; stated (n, 9): those that the prompt
    says. `LEAKS` attribute: whether the seen picture's value is drawn of one that the prompt leaves open. `OVERRULES`,
    `OBEYS`: of those where the prompt says another value than the picture shows, the share that is drawn as in the picture,
    and as the prompt says. What one of the styles concerned hides is not counted: there the reader could only guess.
    """
    shown = visible(read) & visible(of.attributes) & of.varies
    as_seen, open_ = read == of.attributes, shown & ~stated
    out = {f"{LEAKS}{a}": torch.where(open_[:, k], as_seen[:, k].double(), torch.nan) for k, a in enumerate(NAMES)}
    torn = shown & stated & visible(wanted) & (wanted != of.attributes)
    for name, hits in ((OVERRULES, as_seen), (OBEYS, read == wanted)):
        out[name] = (hits & torn).sum(1).double() / torn.sum(1)
    return out


def shown_fidelity(read: Tensor, of: Seen) -> Tensor:
    """Share of the attributes of the concept that is seen, whichever is asked for, that are drawn: (n,)."""
    return fidelity.concept_fidelity(read, of.attributes, of.own)
