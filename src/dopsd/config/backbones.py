"""All kinds of the section `backbone`: those of `backbone`, and what came later.

`backbone` is part of what every recorded cell's key is made of, so the section of a further model stands here, beside the
one list of all kinds. It is a subclass of the one that it shares its fields with: whatever takes that takes it.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from dopsd.config.backbone import Klein, ZImage


class Krea(ZImage):
    """Krea 2: its text encoder is a Qwen3-VL, so the teacher sees with the encoder's own eye. vlm: whose processor shows it
    the picture, and who writes captions. The model's own index says which layers are read."""

    name: Literal["krea"]  # pyright: ignore[reportIncompatibleVariableOverride] - it tells the kinds of a union apart
    teacher_layer: ClassVar[None] = None  # pyright: ignore[reportIncompatibleVariableOverride] - no field of this kind


Backbone = Annotated[ZImage | Klein | Krea, Field(discriminator="name")]
