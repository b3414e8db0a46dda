"""The methods, one file each. A file here is a method; its name is the method's, and nothing else lists it. A study may set a
method up in several ways, each an entry of params.yaml's `methods` (see `method`).

A method's file holds

    LABEL, SAYS                                         what it is called in tables and figures, and on a model card
    Settings                                            its own knobs: `methods.<name>` of params.yaml and of the presets
    needs(settings) -> Needs                            what must be prepared for it
    loss(student, teacher, batch, settings) -> losses   an iterator

student, teacher: (x (n, C, h, w), t (n,), context) -> velocity (n, C, h, w); only the student's has a graph. Each loss that
is yielded must be run backward before the next one is asked for; their sum is the batch's loss. So a roll-out's graph of
one step is freed before the next is built, and memory does not grow with the number of steps.

May import: method, config, support.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast

from torch import Tensor

from dopsd.config.section import Section, Where, named, validated
from dopsd.method.context import Context
from dopsd.support.errors import UserError, nearest

Field = Callable[[Tensor, Tensor, Context], Tensor]


@dataclass(frozen=True)
class Batch:
    """n samples. latents x0 (n, C, h, w); noise (n, C, h, w); times (n,) for off-policy methods; contexts c_s = f_text(y)
    and c_t = f_mm(y, x0), the latter None where the method has no use for it; grid (K + 1,) of the roll-out, (2,) where the
    method has none; more: further pairs of noise and times, of methods that look at several noised states of a sample."""

    latents: Tensor
    noise: Tensor
    times: Tensor
    student_context: Context
    teacher_context: Context | None
    grid: Tensor
    more: tuple[tuple[Tensor, Tensor], ...] = ()


@dataclass(frozen=True)
class Needs:
    """What a method must be given, each apart, and what it costs.

    forwards: of the generator, a sample and step, a backward pass counted as two. seen: contexts that have seen the picture,
    so the backbone's eye is opened; another: they have seen a picture of something else in its place. teacher: second weights
    of this kind, an average of the student's with this decay a step ("ema"), those of the start ("frozen"), or the student's
    own ("live"). rollout_steps: K of a roll-out. states: noised states of a sample.
    """

    forwards: int
    seen: bool = False
    another: bool = False
    teacher: Literal["ema", "frozen", "live"] | None = None
    decay: float = 0.0
    rollout_steps: int = 1
    states: int = 1


class Objective(Protocol):
    """What a method's module holds."""

    LABEL: str
    SAYS: str
    Settings: type[Section]

    def needs(self, settings: Any, /) -> Needs: ...

    def loss(self, student: Field, teacher: Field, batch: Batch, settings: Any, /) -> Iterator[Tensor]: ...


@dataclass(frozen=True)
class Method:
    """A method with its settings. name: of the entry that says them; kind: of the objective's file; train: what of the shared
    training it has otherwise."""

    name: str
    kind: str
    objective: Objective
    settings: Section
    label: str
    train: Mapping[str, Any] = field(default_factory=dict)

    @property
    def needs(self) -> Needs:
        return self.objective.needs(self.settings)

    def loss(self, student: Field, teacher: Field, batch: Batch) -> Iterator[Tensor]:
        """See the module's text."""
        return self.objective.loss(student, teacher, batch, self.settings)


def names() -> list[str]:
    """The methods that there are: the files of this folder."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__))


def module(name: str) -> str:
    """The dotted name of a method's module."""
    return f"{__name__}.{name}"


def objective(name: str) -> Objective:
    """A method's module, by its name."""
    return cast(Objective, importlib.import_module(module(name)))


OF_AN_ENTRY = {"like": str, "label": str, "train": dict}  # what it says beside the method's own settings


def method(name: str, entries: Mapping[str, Mapping[str, Any]], file: str | Where) -> Method:
    """A method as the entry of this name in `methods` of a file sets it up.

    An entry holds the settings of the method whose file has its name. `like: OTHER`: all is as in another entry, but for
    what this one says; `label`: what it is called in tables and figures; `train`: fields of the section train that it has
    otherwise. UserError where there is no such method, entry or field.
    """
    said, chain = dict(entries.get(name, {})), [name]
    for key, is_so in OF_AN_ENTRY.items():
        if key in said and not isinstance(said[key], is_so):
            what, where = "a mapping of fields" if is_so is dict else "a text", named(file, "methods", name, key)
            raise UserError(f"{where}: methods.{name}.{key}: {said[key]!r} is not {what}; mend it and run again")
    label = said.get("label")
    while "like" in said:
        other = said.pop("like")
        at = f"{named(file, 'methods', chain[-1], 'like')}: methods.{chain[-1]}.like"
        if other not in entries:
            raise UserError(f"{at}: {other!r} is no entry of methods{nearest(str(other), [*entries])}")
        if other in chain:
            raise UserError(f"{at}: {' -> '.join([*chain, other])} goes round; name an entry that stands for itself")
        said, chain = {**entries[other], **said}, [*chain, other]
    kind = chain[-1]
    if kind not in names():
        raise UserError(f"{named(file, 'methods', kind)}: methods.{kind}: no such method{nearest(kind, names())}")
    found = objective(kind)
    own = {key: value for key, value in said.items() if key not in OF_AN_ENTRY}
    settings = validated(found.Settings, own, file, f"methods.{name}")
    return Method(name, kind, found, settings, label or (found.LABEL if name == kind else name), said.get("train", {}))
