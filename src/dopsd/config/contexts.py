"""contexts.yaml: what the untouched model is given, a row a context, in a study that asks what its teacher sees."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from dopsd.config.section import File, Layer, Name, Said, Section, Tree, read
from dopsd.config.yaml import mapping
from dopsd.support.errors import UserError, nearest
from dopsd.support.text import read_text

FILE = Path("contexts.yaml")
Sees = Literal["training", "next", "target", "other", "blank"]


class Context(Section):
    """What is read before a picture is drawn.

    says: the prompt as it is, with the concept spelled out in the place of its name, or nothing (the empty prompt). sees: the
    concept's training pictures in turn; the next one in the place of each; the target, which is the prompt's own scene; a
    picture of another concept of its kind; an even grey one; null: none. layer, vlm: the hidden layer, and the VLM, that a
    picture is read with, where these are not the backbone's.
    """

    label: Said
    says: Literal["prompt", "described", "nothing"] = "prompt"
    sees: Sees | None = None
    layer: Layer | None = None
    vlm: Said | None = None

    @model_validator(mode="after")
    def _reads_what_is_there(self) -> Context:
        if self.sees is None and (self.layer is not None or self.vlm is not None):
            raise ValueError("layer and vlm are of a picture; say what it sees, or take them out")
        if self.sees is None and self.says == "nothing":
            raise ValueError("says nothing and sees nothing; give it one of the two")
        return self


class Contexts(File):
    """All of contexts.yaml. student, teacher: the contexts that all others are held against."""

    student: Name
    teacher: Name
    contexts: Annotated[dict[Name, Context], Field(min_length=2)]

    @model_validator(mode="after")
    def _names_both(self) -> Contexts:
        for field in ("student", "teacher"):
            name = getattr(self, field)
            if name not in self.contexts:
                raise ValueError(f"{field}: {name!r} is none of contexts{nearest(name, self.contexts)}")
        if self.contexts[self.student].sees is not None:
            raise ValueError(f"student: {self.student!r} sees a picture; name a context that sees none")
        if self.contexts[self.teacher].sees is None:
            raise ValueError(f"teacher: {self.teacher!r} sees no picture; name a context that sees one")
        return self


def load(file: Path = FILE) -> Contexts:
    """The contexts of a study; UserError with file, field and remedy where the file is missing or wrong."""
    if not os.path.lexists(file):
        raise UserError(f"{file}: missing; name the contexts, and which of them are the student's and the teacher's")
    return read(Contexts, Tree.of(mapping(read_text(file), str(file)), str(file)))
