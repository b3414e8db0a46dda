"""Kernel distance (KID) of a set of pictures to the untouched model's, in the features of another instrument."""

from __future__ import annotations

from typing import ClassVar

from dopsd.evaluation import distances
from dopsd.evaluation.instruments import Score
from dopsd.evaluation.instruments.frechet import Frechet
from dopsd.evaluation.rows import ORDINARY


class Kid(Frechet):
    """As the Frechet distance, by another measure of two sets."""

    distance: ClassVar = staticmethod(distances.kid)
    paired: ClassVar = staticmethod(distances.kid_paired)
    scores: ClassVar = {
        "retention_kid": Score(
            "lower",
            "ordinary prompts: kernel distance (KID) to the untouched model's pictures",
            (ORDINARY,),
            ("reference",),
            whole=True,
        )
    }


INSTRUMENT = Kid
