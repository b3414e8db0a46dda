"""chains.yaml: which concepts one model is taught one after another, in a study that asks what remains of the first."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from dopsd.config.section import File, Name, Said, Tree, read
from dopsd.config.yaml import mapping
from dopsd.support.errors import UserError, nearest
from dopsd.support.text import read_text

FILE = Path("chains.yaml")
SEEN = "seen"  # a kind of scores: of new scenes, drawn having seen a training picture, as a teacher does


class Chains(File):
    """All of chains.yaml.

    sets: the concepts that one model is taught, in this order and in the reverse one; a set is the unit of all intervals, so
    no concept is in two. names: what the first, the second, ... concept of a set is called in either order, in its captions
    and its prompts, in the place of "[V]": two concepts of one name would be one by definition.
    """

    sets: Annotated[tuple[tuple[Name, ...], ...], Field(min_length=1)]
    names: Annotated[tuple[Said, ...], Field(min_length=2)]

    @property
    def called(self) -> dict[str, str]:
        """Every concept's name."""
        return {concept: name for mine in self.sets for concept, name in zip(mine, self.names, strict=True)}

    @property
    def orders(self) -> dict[str, tuple[str, ...]]:
        """Every chain, by its name, with its concepts in the order in which they are taught."""
        return {"-".join(order): order for mine in self.sets for order in (mine, mine[::-1])}

    @model_validator(mode="after")
    def _tells_all_apart(self) -> Chains:
        if twice := [c for c, n in Counter(chain(*self.sets)).items() if n > 1]:
            raise ValueError(f"sets: {twice[0]!r} stands twice; a concept is in one set, once")
        if odd := [mine for mine in self.sets if len(mine) != len(self.names)]:
            raise ValueError(
                f"sets: {', '.join(odd[0])}: {len(odd[0])} concepts, and {len(self.names)} names; give as many of each"
            )
        if len(set(self.names)) != len(self.names):
            raise ValueError("names: one stands twice; give each concept of a set a name of its own")
        if long := [name for name in self.names if len(name.split()) != 1]:
            raise ValueError(f"names: {long[0]!r} is not one word; a name stands in the place of one")
        return self


def load(concepts: Sequence[str], file: Path = FILE) -> Chains:
    """The chains of a study over these concepts; UserError with file, field and remedy where the file is missing or wrong,
    where it names a concept that is not there, or none of one that is."""
    if not os.path.lexists(file):
        raise UserError(
            f"{file}: missing; name the sets of concepts that are taught one after another, and their names"
        )
    found = read(Chains, Tree.of(mapping(read_text(file), str(file)), str(file)))
    if unknown := [c for c in found.called if c not in concepts]:
        raise UserError(
            f"{file}: sets: {unknown[0]!r} is none of grid.concepts{nearest(unknown[0], concepts)}; mend it"
        )
    if idle := [c for c in concepts if c not in found.called]:
        raise UserError(f"{file}: sets: none has {idle[0]!r}, one of grid.concepts; add it, or take it out there")
    return found
