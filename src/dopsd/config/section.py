"""What the sections of params.yaml are made of, and the one way in which they are read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from dopsd.config.yaml import shown
from dopsd.support.errors import UserError, nearest

Count = Annotated[int, Field(ge=1, le=10**9)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Layer = Annotated[int, Field(le=-1, ge=-1000)]
Steps = Annotated[int, Field(ge=1, le=1000)]  # of a roll-out: schedulers know so many times
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Side = Annotated[
    int, Field(ge=16, le=16384, multiple_of=16)
]  # of a picture, pixels: what every backbone's patches divide
Sheet = Annotated[int, Field(ge=24)]  # fewer targets may not show every attribute
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_-]+$")]
Said = Annotated[str, Field(min_length=1, pattern=r"\S")]  # a text that says something

WORD = re.compile(r"[a-z_]+(?:\.[a-z_]+)*")  # in the message of a check over several fields: their names
Where = Callable[..., str]  # the parts of a field's name -> the file (or the option) that says it


class Section(BaseModel):
    """A part of params.yaml: unknown keys are errors, numbers are finite, values cannot be changed later."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Source(Section):
    """A model: a local folder or a hub name, and a commit of the hub's repository (null for a folder)."""

    model: Said
    revision: str | None = None


@dataclass(frozen=True)
class Tree:
    """What a file says of its sections, over what the files that it extends say; and which of them says which field."""

    values: dict[str, Any]
    sources: dict[tuple[str, ...], str]
    layers: tuple[str, ...]  # those files, and options of the command line, the lowest first

    @classmethod
    def of(cls, values: dict[str, Any], where: str) -> Tree:
        """One file, or one option."""
        return cls(values, {(): where} | dict.fromkeys(_paths(values), where), (where,))

    def where(self, *path: str) -> str:
        """The file that says a field, or the section around it where none says the field itself."""
        while path not in self.sources:
            path = path[:-1]
        return self.sources[path]

    def latest(self, paths: list[tuple[str, ...]]) -> str:
        """Of those that say some fields the one that was put over the others: it made them not fit."""
        return max((self.where(*path) for path in paths), key=self.layers.index)

    @property
    def top(self) -> str:
        """The file over all others: what none says is for it to say."""
        return [layer for layer in self.layers if not layer.startswith("--")][-1]

    def over(self, below: Tree) -> Tree:
        """Two files in one: sections field by field, all else (null, too) as this one says."""
        values = _over(below.values, self.values)
        return Tree(values, below.sources | self.sources, below.layers + self.layers)

    def only(self, sections: tuple[str, ...]) -> Tree:
        """Some sections of it."""
        return replace(self, values={k: v for k, v in self.values.items() if k in sections})


def _paths(tree: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in tree.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from _paths(value, (*above, key))


def _over(below: dict, above: dict) -> dict:
    out = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = _over(out[key], value) if both else value
    return out


class File(Section):
    """All of a file, which knows where its fields were said."""

    _where: Where | None = PrivateAttr(default=None)

    def where(self, *path: str) -> str:
        """The file or option that says a field, for messages."""
        return self._where(*path) if self._where else "the settings"


def named(file: str | Where, *path: str) -> str:
    """The file that says a field: a file's name, or what one knows of it that was read in whole (`File.where`)."""
    return file if isinstance(file, str) else file(*path)


Read = TypeVar("Read", bound=Section)
Whole = TypeVar("Whole", bound=File)


def read(kind: type[Whole], tree: Tree) -> Whole:
    """All of a file, validated; UserError names the file that says the first wrong field, the field and the remedy."""
    out = validated(kind, tree.values, tree)
    out._where = tree.where
    return out


def validated(kind: type[Read], tree: Mapping, file: str | Where | Tree, at: str = "") -> Read:
    """A section, or all of a file, from what YAML or JSON says; UserError names file, first wrong field and remedy.

    As JSON has them: a text is no number, a number no truth. file: its name, or who knows it of a field. at: where in the
    file the tree stands, such as "methods.dopsd".
    """
    try:
        return kind.model_validate_json(json.dumps(tree), strict=True)
    except ValidationError as error:
        errors, above = error.errors(), tuple(at.split(".")) if at else ()
        first = min(
            errors, key=lambda e: e["type"] != "extra_forbidden"
        )  # a name that is misspelt explains one that is missing
        loc, message = _told(kind, first)
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        path = (*above, *(part for part in loc if isinstance(part, str)))
        if isinstance(file, Tree):
            names = (
                [(*path, *word.split(".")) for word in WORD.findall(message)] if first["type"] == "value_error" else []
            )
            where = file.latest([name for name in names if name in file.sources] or [path])
            if first["type"] in ("missing", "union_tag_not_found"):
                where = file.top
        else:
            where = named(file, *path)
        field = ".".join(map(str, (*above, *loc)))
        raise UserError(f"{where}: {field}{': ' if field else ''}{message}{more}; mend it and run again") from None


def _told(kind: type[Section], error: Any) -> tuple[tuple[str | int, ...], str]:
    """A field, without pydantic's tags of a union's kinds, and what is wrong with it."""
    loc, known = [], [kind]
    for part in error["loc"]:
        fields = [c.model_fields[part] for c in known if part in c.model_fields]
        if not fields and part in (tags := {_tag(c): c for c in known}):
            known = [tags[part]]  # which kind of a union it is, no part of the file
            continue
        known = [c for f in fields for c in _sections(f.annotation)] or known
        loc.append(part)
    given, said = error.get("input"), error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        *_, name = loc
        names = {n for c in _holding(kind, error["loc"]) for n in c.model_fields}
        return tuple(loc), f"unknown{nearest(name, sorted(names)) or '; take it out'}"
    if error["type"] == "union_tag_invalid":
        tags = error["ctx"]["expected_tags"].replace("'", "").split(", ")
        return (*loc, "name"), f"unknown {error['ctx']['tag']!r}{nearest(error['ctx']['tag'], tags)}"
    if error["type"] == "union_tag_not_found":
        return (*loc, "name"), "Field required"
    if error["type"] == "missing" or isinstance(given, (dict, list)):
        return tuple(loc), said
    quotes = error["type"] == "string_type" and given is not None
    return tuple(loc), f"{said}, not {shown(given)}{' (write it in quotes)' if quotes else ''}"


def _holding(kind: type[Section], loc: tuple[str | int, ...]) -> list[type[Section]]:
    """The sections that a field of this place could belong to."""
    known = [kind]
    for part in loc[:-1]:
        inside = [s for c in known if part in c.model_fields for s in _sections(c.model_fields[part].annotation)]
        known = inside or [c for c in known if _tag(c) == part] or known
    return known


def _tag(kind: type[Section]) -> str | None:
    """What a kind of a union calls itself."""
    names = get_args(kind.model_fields["name"].annotation) if "name" in kind.model_fields else ()
    return names[0] if names else None


def _sections(annotation: Any) -> list[type[Section]]:
    """The sections in a field's type."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [s for part in get_args(annotation) for s in _sections(part)]
