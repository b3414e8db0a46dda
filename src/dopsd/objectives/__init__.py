"""The methods, one file each. A file here is a method; its name is the method's, and nothing else lists it.

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
from dataclasses import dataclass
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
    method has none."""

    latents: Tensor
    noise: Tensor
    times: Tensor
    student_context: Context
    teacher_context: Context | None
    grid: Tensor


@dataclass(frozen=True)
class Needs:
    """What a method must be given, each apart.

    seen: contexts that have seen the picture, so the backbone's eye is opened. teacher: second weights of this kind, an
    average of the student's with this decay a step ("ema"), those of the start ("frozen"), or the student's own ("live").
    rollout_steps: K of a roll-out.
    """

    seen: bool = False
    teacher: Literal["ema", "frozen", "live"] | None = None
    decay: float = 0.0
    rollout_steps: int = 1


class Objective(Protocol):
    """What a method's module holds."""

    LABEL: str
    SAYS: str
    Settings: type[Section]

    def needs(self, settings: Any, /) -> Needs: ...

    def loss(self, student: Field, teacher: Field, batch: Batch, settings: Any, /) -> Iterator[Tensor]: ...


@dataclass(frozen=True)
class Method:
    """A method with its settings."""

    name: str
    objective: Objective
    settings: Section

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


def method(name: str, settings: Mapping[str, Any], file: str | Where) -> Method:
    """A method by its name, with what `methods.<name>` of a file says; UserError where there is no such method or field."""
    if name not in names():
        raise UserError(f"{named(file, 'methods', name)}: methods.{name}: no such method{nearest(name, names())}")
    found = objective(name)
    return Method(name, found, validated(found.Settings, settings, file, f"methods.{name}"))
