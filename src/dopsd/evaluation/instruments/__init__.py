"""What looks at pictures, one file each. A file here is an instrument; its name is the instrument's: nothing else lists it.

A file holds `INSTRUMENT`, a class with

    Settings                                     its own knobs: `instruments.<name>` of params.yaml and of the presets
    scores                                       what it says, by name (`Score`)
    __init__(settings, device, opened)           opens it; `opened(name)` gives another instrument of the panel
    score(name, view) -> found                   a number a picture, or one of the whole set

and, where its weights may be on a hub, a function `fetch(settings)` that gets them -> their folder.

May import: evaluation's statistics and rows, training and below.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeVar, cast

import torch
from torch import Tensor

from dopsd.config.section import Section, Where, named, validated
from dopsd.evaluation.rows import Row
from dopsd.sets.items import Item, by_name
from dopsd.support.errors import UserError, nearest

Need = Literal["truth", "picture", "training", "reference", "noises"]
REMEDY: dict[str, str] = {
    "truth": "prompts that the world made (their rows hold the scene)",
    "picture": "prompts that belong to a training picture",
    "training": "training pictures",
    "reference": "pictures of the untouched model",
    "noises": "prompts that are drawn from two noises or more",
}
Found = (
    Tensor | Callable[[Tensor], float] | None
)  # (n,) a number a picture; or of the pictures with these numbers (LongTensor); None: it says nothing of this concept
Made = TypeVar("Made")


@dataclass(frozen=True)
class Score:
    """What a number means: which way is better, what it looks at, of which kinds of prompts, and what it needs beside them.

    whole: it is a number of the whole set, not of each picture. near_one: the better, the nearer to 1.
    """

    better: Literal["higher", "lower", "near one", "as untouched"]
    says: str
    kinds: tuple[str, ...]
    needs: tuple[Need, ...] = ()
    whole: bool = False


@dataclass(frozen=True)
class View:
    """Pictures (3, H, W) in [-1, 1] of some prompts of one kind, and all that they may be held against.

    items: the training pictures; own: the attributes' words that make the concept, where the world made it. reference: what
    the untouched model drew in as many steps, which sets are held against. memory: what is made of the pictures once.
    """

    kind: str
    rows: Sequence[Row]
    images: Sequence[Tensor]
    items: Sequence[Item] = ()
    own: Mapping[str, str] | None = None
    reference: View | None = None
    memory: dict[Any, Any] = field(default_factory=dict)

    def has(self) -> set[Need]:
        """What all its rows have."""
        names = by_name(self.items)
        there: dict[Need, bool] = {
            "truth": all(r.truth for r in self.rows),
            "picture": all(r.picture in names for r in self.rows),
            "training": bool(self.items),
            "reference": self.reference is not None,
            "noises": min(Counter((r.group, r.text) for r in self.rows).values(), default=0) > 1,
        }
        return {need for need, is_there in there.items() if is_there}

    def once(self, what: Any, make: Callable[[], Made]) -> Made:
        """What `make` gives, made once for this view."""
        if what not in self.memory:
            self.memory[what] = make()
        return self.memory[what]

    def targets(self) -> list[Item]:
        """The training picture that each row belongs to."""
        named = by_name(self.items)
        return [named[r.picture or ""] for r in self.rows]

    def texts(self) -> list[str]:
        """The prompts with the concept spelled out, for instruments that do not know "[V]"."""
        return [r.described or r.text for r in self.rows]


class Instrument(Protocol):
    """What a file of this folder holds."""

    Settings: ClassVar[type[Section]]
    scores: ClassVar[Mapping[str, Score]]

    def __init__(self, settings: Any, device: torch.device, opened: Callable[[str], Any], /): ...

    def score(self, name: str, view: View, /) -> Found: ...


def names() -> list[str]:
    """The instruments that there are: the files of this folder."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__))


def module(name: str) -> str:
    """The dotted name of an instrument's module."""
    return f"{__name__}.{name}"


class Panel:
    """The instruments of a study with their settings, each opened when it is asked first.

    settings: `instruments` of a file: {name: its settings}. UserError where a name or a field is wrong.
    """

    def __init__(self, settings: Mapping[str, Mapping[str, Any] | None], device: torch.device, file: str | Where):
        self.device, self.file = device, file
        self.kinds: dict[str, type[Instrument]] = {}
        self.settings: dict[str, Section] = {}
        self._open: dict[str, Instrument] = {}
        for name, given in settings.items():
            if given is None:  # left out, by null
                continue
            if name not in names():
                at = named(file, "instruments", name)
                raise UserError(f"{at}: instruments.{name}: no such instrument{nearest(name, names())}")
            kind = cast(type[Instrument], importlib.import_module(module(name)).INSTRUMENT)
            self.kinds[name] = kind
            self.settings[name] = validated(kind.Settings, given, file, f"instruments.{name}")
        for name, of in self.settings.items():
            if (features := getattr(of, "features", name)) not in self.settings:
                raise UserError(
                    f"{named(file, 'instruments', name)}: instruments.{name}: features: {features!r} is none of the "
                    "instruments; add it"
                )

    @property
    def scores(self) -> dict[str, Score]:
        """All that the panel says, by name."""
        return {name: score for kind in self.kinds.values() for name, score in kind.scores.items()}

    def modules(self) -> list[str]:
        """The dotted names of its modules."""
        return [module(name) for name in self.kinds]

    def folders(self) -> list[Path]:
        """The local folders that its instruments' weights stand in, in order."""
        sources = [Path(model) for s in self.settings.values() if isinstance(model := getattr(s, "model", None), str)]
        return sorted(s for s in sources if s.is_dir())

    def fetch(self) -> None:
        """Fetch all files that are on a hub, before anything long begins; UserError where one cannot be had."""
        for name, settings in self.settings.items():
            if get := getattr(importlib.import_module(module(name)), "fetch", None):
                get(settings)

    def opened(self, name: str) -> Instrument:
        """An instrument, opened if it is not yet."""
        if name not in self._open:
            self._open[name] = self.kinds[name](self.settings[name], self.device, self.opened)
        return self._open[name]

    def order(self) -> list[str]:
        """Its instruments, those whose features others compare first."""
        return sorted(self.kinds, key=lambda n: getattr(self.settings[n], "features", None) is not None)

    def close(self, name: str) -> None:
        """Give an instrument's memory back, unless another one compares its features."""
        if name not in {getattr(s, "features", None) for s in self.settings.values()}:
            self._open.pop(name, None)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def says(self, name: str, kind: str, has: set[Need]) -> list[str]:
        """The scores of an instrument that pictures of a kind of prompts get, with what they have."""
        return [s for s, what in self.kinds[name].scores.items() if kind in what.kinds and has.issuperset(what.needs)]

    def check(self, study: Mapping[str, set[Need]]) -> None:
        """UserError where an instrument could say nothing. study: what the prompts of each kind have (`View.has`)."""
        for name, instrument in self.kinds.items():
            if any(self.says(name, kind, has) for kind, has in study.items()):
                continue
            scores = instrument.scores.values()
            lacking = {n for s in scores for k in s.kinds for n in s.needs if n not in study.get(k, set())}
            why = " and ".join(REMEDY[n] for n in sorted(lacking)) or "other kinds of prompts"
            at = named(self.file, "instruments", name)
            raise UserError(f"{at}: instruments.{name}: it needs {why}, which this study has not; take it out")
