"""questions.yaml: the questions that a study asks beside its comparison, and the rows that answer each."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from dopsd.config.section import File, Name, Said, Section, Tree, read
from dopsd.config.yaml import mapping
from dopsd.support.errors import UserError, nearest
from dopsd.support.text import read_text

FILE = Path("questions.yaml")


class Question(Section):
    """One question, which a part of the study's rows answers; its claims are those of the family of its name."""

    asks: Said
    rows: Annotated[tuple[Name, ...], Field(min_length=2)]  # in the order in which they are shown
    against: Name  # the one of them that the others are held against
    seen: str = ""  # what the figure shows and no claim had asked, in a sentence without numbers

    @model_validator(mode="after")
    def _is_against_one_of_its_rows(self) -> Question:
        if self.against not in self.rows:
            raise ValueError(f"against names {self.against!r}, which is none of its rows; name one of them")
        return self


class Questions(File):
    """All of questions.yaml."""

    questions: Annotated[dict[Name, Question], Field(min_length=1)]


def load(rows: Collection[str], file: Path = FILE) -> dict[str, Question]:
    """The questions of a study, by name; none where it has no such file. rows: all that the study measures.

    UserError with file, field and remedy where the file is wrong, or names a row that is none of these.
    """
    if not os.path.lexists(file):
        return {}
    found = read(Questions, Tree.of(mapping(read_text(file), str(file)), str(file))).questions
    for name, question in found.items():
        for row in question.rows:
            if row not in rows:
                raise UserError(f"{file}: questions.{name}.rows: {row!r} is no row here{nearest(row, rows)}; mend it")
    return found
