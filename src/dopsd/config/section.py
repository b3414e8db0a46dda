"""What the sections of params.yaml are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Layer = Annotated[int, Field(le=-1)]
Sheet = Annotated[int, Field(ge=24)]  # fewer targets may not show every attribute
Name = Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9_-]+$")]


class Section(BaseModel):
    """A part of params.yaml: unknown keys are errors, values cannot be changed later."""

    model_config = ConfigDict(frozen=True, extra="forbid")
