"""The section `picture_probe`: the in-context probe on the pictures of a study."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dopsd.config.section import Section, Seed, Steps
from dopsd.config.study import Contexts


class PictureProbe(Section):
    """contexts: what the encoder is given; nfe: steps, the first are the native ones, whose pictures are shown; images: at
    most so many pictures, of all concepts in turn."""

    contexts: Contexts
    nfe: Annotated[tuple[Steps, ...], Field(min_length=1)]
    images: Annotated[int, Field(ge=2)]
    seed: Seed = 0
