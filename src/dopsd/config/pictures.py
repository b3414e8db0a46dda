"""pictures.yaml: how many of a concept's pictures each row is trained on, in a study that asks how many are needed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from dopsd.config.section import Count, File, Name, Tree, read
from dopsd.config.yaml import mapping
from dopsd.support.errors import UserError, nearest
from dopsd.support.text import read_text

FILE = Path("pictures.yaml")


class Pictures(File):
    """All of pictures.yaml. rows: on how many pictures of its concept each is trained, the first ones: a row's set holds that
    of every row with fewer."""

    rows: Annotated[dict[Name, Count], Field(min_length=1)]


def load(trained: Sequence[str], images: int, file: Path = FILE) -> dict[str, int]:
    """Each trained row's number of pictures. trained: the study's `grid.trained`; images: its `fetch.images`.

    UserError with file, field and remedy where the file is missing or wrong, names a row that is not trained, has no number
    of one that is, or a number above `images`.
    """
    if not os.path.lexists(file):
        raise UserError(f"{file}: missing; say on how many pictures each row of grid.trained is trained")
    found = read(Pictures, Tree.of(mapping(read_text(file), str(file)), str(file))).rows
    if unknown := [row for row in found if row not in trained]:
        raise UserError(f"{file}: rows: {unknown[0]!r} is none of grid.trained{nearest(unknown[0], trained)}; mend it")
    if lacking := [row for row in trained if row not in found]:
        raise UserError(f"{file}: rows: no number of {lacking[0]!r}, one of grid.trained; add it, or take it out there")
    if above := [row for row, n in found.items() if n > images]:
        raise UserError(
            f"{file}: rows.{above[0]}: {found[above[0]]} pictures, and fetch.images is {images}; take fewer, or fetch more"
        )
    return found
