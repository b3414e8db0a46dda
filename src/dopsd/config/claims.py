"""claims.yaml: what is asked of a study, with bars and controls, before its numbers are known."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from dopsd.config.section import File, Name, Said, Section, Tree, read
from dopsd.config.yaml import mapping
from dopsd.support.text import read_text

FILE = Path("claims.yaml")
Control = Literal["untouched", "described", "base"]


class Claim(Section):
    """A claim about a score of the method, of the baseline, or of their paired difference: at matched fidelity
    (`tables.matched`), or at the last step."""

    id: Name
    claim: Said
    paper: Said  # where the paper makes it
    score: Said
    of: Literal["method", "baseline", "difference"]
    at: Literal["matched", "last"] = "matched"
    bar: float
    at_most: bool = False
    must_hold: Control | None  # the row of which it is known that it holds,
    must_fail: Control | None  # and that it fails; null: there is none
    against: Said  # what would count against it

    @model_validator(mode="after")
    def _has_one_control_each(self) -> Claim:
        if self.must_hold and self.must_hold == self.must_fail:
            raise ValueError(f"must_hold and must_fail name the same row, {self.must_hold}; it cannot do both")
        return self


class Claims(File):
    """All of claims.yaml."""

    claims: Annotated[tuple[Claim, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_each_once(self) -> Claims:
        ids = [c.id for c in self.claims]
        if twice := [i for i in ids if ids.count(i) > 1]:
            raise ValueError(f"claims: two have the id {twice[0]!r}; give each its own")
        return self


def load(file: Path = FILE) -> tuple[Claim, ...]:
    """The claims of a study; none where it has no such file. UserError with file, field and remedy where it is wrong."""
    if not os.path.lexists(file):
        return ()
    return read(Claims, Tree.of(mapping(read_text(file), str(file)), str(file))).claims
