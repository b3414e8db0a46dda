"""What the sections of params.yaml are made of, and the one way in which they are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dopsd.support.errors import UserError

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Layer = Annotated[int, Field(le=-1)]
Side = Annotated[int, Field(ge=16, multiple_of=16)]  # of a picture, pixels: what every backbone's patches divide
Sheet = Annotated[int, Field(ge=24)]  # fewer targets may not show every attribute
Name = Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9_-]+$")]


class Section(BaseModel):
    """A part of params.yaml: unknown keys are errors, values cannot be changed later."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Section):
    """A model: a local folder or a hub name, and a commit of the hub's repository (null for a folder)."""

    model: str
    revision: str | None = None


Read = TypeVar("Read", bound=Section)


def parsed(text: str, file: str) -> dict[str, Any]:
    """A YAML text whose top is a mapping; UserError where it is none."""
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{file}: not YAML ({' '.join(str(error).split())}); mend that line") from None
    if not isinstance(tree, dict):
        raise UserError(f"{file}: the file: no sections; write SECTION: and its fields below")
    return tree


def validated(kind: type[Read], tree: Mapping, file: str, at: str = "") -> Read:
    """A section, or all of a file, from what YAML says; UserError names the file, the first wrong field and the remedy.

    at: where in the file the tree stands, such as "methods.dopsd".
    """
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        kinds = ("zimage", "klein")  # pydantic names the kind of backbone between its section and the field
        path = [at, *(str(part) for part in first["loc"] if part not in kinds)]
        field = ".".join(filter(None, path)) or "the file"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        given = f", not {first['input']!r}" if isinstance(first.get("input"), (str, int, float, bool)) else ""
        raise UserError(f"{file}: {field}: {first['msg']}{given}{more}; mend it and run again") from None
