"""claims.yaml: what is asked of a study, with bars and controls, before its numbers are known."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from dopsd.config.section import File, Name, Positive, Said, Section, Tree, read
from dopsd.config.yaml import mapping
from dopsd.support.errors import UserError, nearest
from dopsd.support.text import read_text

FILE = Path("claims.yaml")


def _rows(given: Any) -> Any:
    """A list of rows from null, one name, or a list."""
    if given is None or isinstance(given, str):
        return () if given is None else (given,)
    return tuple(given) if isinstance(given, list) else given  # a list is no tuple once it has been looked at


Rows = Annotated[tuple[Name, ...], BeforeValidator(_rows)]


class Claim(Section):
    """A claim about one score: of a row (its method), of another (its baseline), of their paired difference, or of Spearman's
    rank correlation of the two over the concepts.

    method, baseline: any rows of the comparison; null: those of params.yaml's `compare`. at: where both draw the concept
    equally well ("matched"), after equal optimiser steps or forwards, or at the last step, which is the only one of rows that
    are not trained. concepts: the kinds it is about; a look is a style. In its texts {method} and {baseline} are these rows.
    """

    id: Name
    family: Name = "comparison"  # of claims that are asked together: p is corrected over each family apart
    claim: Said
    paper: Said  # where the paper makes it
    score: Said
    of: Literal["method", "baseline", "difference", "correlation"]
    method: Name | None = None
    baseline: Name | None = None
    at: Literal["matched", "steps", "forwards", "last"] = "matched"
    concepts: Literal["all", "object", "style"] = "all"
    bar: float
    at_most: bool = False
    must_hold: Rows  # the rows of which it is known that it holds,
    must_fail: Rows  # and that it fails: a list, one name, or null: there is none
    seen: Said = "no"  # whether the bar's number had been seen before, and where
    smallest: Positive | None = None  # distance from the bar that twelve concepts show with 80 % power, by a pilot
    against: Said  # what would count against it

    @property
    def named(self) -> dict[str, tuple[str, ...]]:
        """The rows that it names, by field."""
        own = {"method": self.method, "baseline": self.baseline}
        named = {field: (name,) for field, name in own.items() if name}
        return named | {"must_hold": self.must_hold, "must_fail": self.must_fail}

    @field_validator("claim", "against")
    @classmethod
    def _names_its_rows(cls, text: str) -> str:
        try:
            text.format(method="", baseline="")
        except (LookupError, ValueError, AttributeError):
            raise ValueError("only {method} and {baseline} may stand in braces") from None
        return text

    @model_validator(mode="after")
    def _can_reach_its_bar(self) -> Claim:
        if self.of == "correlation" and abs(self.bar) >= 1:
            raise ValueError(f"bar: {self.bar:g} is no bar of a correlation, which lies between -1 and 1; mend it")
        return self

    @model_validator(mode="after")
    def _has_each_control_once(self) -> Claim:
        if both := [row for row in self.must_hold if row in self.must_fail]:
            raise ValueError(f"must_hold and must_fail name the same row, {both[0]}; it cannot do both")
        for field in ("must_hold", "must_fail"):
            rows = getattr(self, field)
            if len(set(rows)) != len(rows):
                raise ValueError(f"{field} names a row twice; keep one")
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


def load(file: Path = FILE, rows: Collection[str] | None = None) -> tuple[Claim, ...]:
    """The claims of a study; none where it has no such file. UserError with file, field and remedy where it is wrong, or
    where it names a row that is none of `rows` (None: rows are not looked at)."""
    if not os.path.lexists(file):
        return ()
    found = read(Claims, Tree.of(mapping(read_text(file), str(file)), str(file))).claims
    for claim in found:
        for field, names in claim.named.items():
            if unknown := [name for name in names if rows is not None and name not in rows]:
                hint = nearest(unknown[0], rows or ())
                raise UserError(
                    f"{file}: {claim.id}: {field}: no row is called {unknown[0]!r}{hint}; mend it and run again"
                )
    return found
