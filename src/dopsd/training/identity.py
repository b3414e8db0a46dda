"""What a training is: all that its result depends on, by name, so that another one is told apart, and how."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dopsd.backbones.base import Backbone
from dopsd.config.train import Train
from dopsd.objectives import Method
from dopsd.sets.items import Item
from dopsd.support.errors import UserError
from dopsd.support.files import remove, replace, write_text
from dopsd.support.text import json_object, read_text
from dopsd.training import state
from dopsd.training.encoded import content
from dopsd.training.results import LOG_FILE

FILE = "identity.json"
HOW_LONG = (
    "steps",
    "checkpoints",
)  # of `train`: nothing is scheduled over them, so a state at a step is the same under any
SHOWN = 6  # differences that a message lists


@dataclass(frozen=True)
class Identity:
    """All that a training's result depends on. What only changes how long it takes, how often it saves or what it shows is
    no part of it (see `Train.result`).

    name: sixteen hex digits of all of it. course: of all but how many steps there are and which are kept: two trainings of
    one course are the same as far as both go. parts: in plain values, for words; a picture is its digest and that of its
    captions and size.
    """

    name: str
    course: str
    parts: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        backbone: Backbone,
        items: Sequence[Item],
        method: Method,
        settings: Train,
        seed: int,
        learning_rate: float,
        shown: Sequence[Item] | None = None,
    ) -> Identity:
        """Reads every picture, those that are `shown` to the teacher in their place too."""
        pictures, train = [content(i) for i in [*items, *(shown or [])]], settings.result()
        how = method.settings.model_dump()
        model = backbone.settings.model_dump(exclude={"device", "base"})
        rest = {k: v for k, v in train.items() if k not in HOW_LONG}
        parts = {"method": method.name, "settings": how, "train": train, "seed": seed, "learning_rate": learning_rate}
        parts |= {"backbone": model, "pictures": [f"{p['image']} {state.fingerprint(p)}" for p in pictures]}
        return cls(
            state.fingerprint(method.name, how, pictures, train, seed, learning_rate, model),
            state.fingerprint("course", method.name, how, pictures, rest, seed, learning_rate, model),
            json.loads(json.dumps(parts, default=str)),
        )

    @classmethod
    def read(cls, folder: Path) -> Identity | None:
        """That of the training in a folder; None where the folder does not say. UserError where the file is broken."""
        file = folder / FILE
        if not file.exists():
            return None
        found = json_object(read_text(file), str(file))
        try:
            return cls(found["name"], found["course"], found["parts"])
        except KeyError as error:
            raise UserError(f"{file}: no {error}; remove {folder}") from None

    def write(self, folder: Path) -> None:
        """Beside the training's work; an equal file stays as it is."""
        if not (folder / FILE).exists() or Identity.read(folder) != self:
            found = {"name": self.name, "course": self.course, "parts": self.parts}
            write_text(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n", folder / FILE)

    def owner(self) -> dict[str, str]:
        """What states and checkpoints are sealed with: good for any number of steps."""
        return {"training": self.course}

    def line(self) -> str:
        """What it is, for a person."""
        p = self.parts
        return (
            f"{p['method']} on {len(p['pictures'])} pictures, {p['train'].get('steps')} steps, learning rate "
            f"{p['learning_rate']:g}, seed {p['seed']}"
        )

    def differences(self, other: Identity) -> list[str]:
        """What is different there, in words that name the fields: "train.batch_size 2 -> 4", from this one to the other."""
        mine, theirs = _named(self.parts), _named(other.parts)
        names = dict.fromkeys([*mine, *theirs])
        out = [f"{n} {_value(mine, n)} -> {_value(theirs, n)}" for n in names if _value(mine, n) != _value(theirs, n)]
        return out + _pictures(self.parts["pictures"], other.parts["pictures"])


def _named(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Every part but the pictures, under the name that a preset gives it."""
    method = parts["method"]
    out = {"tune.method": method, "tune.seed": parts["seed"], "tune.learning_rate": parts["learning_rate"]}
    for section, values in (
        (f"methods.{method}", parts["settings"]),
        ("train", parts["train"]),
        ("backbone", parts["backbone"]),
    ):
        out |= {f"{section}.{k}": v for k, v in values.items()}
    return out


def _value(named: Mapping[str, Any], name: str) -> str:
    return json.dumps(named[name], ensure_ascii=False) if name in named else "none"


def _pictures(mine: Sequence[str], theirs: Sequence[str]) -> list[str]:
    if list(mine) == list(theirs):
        return []
    before, now = (Counter(p.partition(" ")[0] for p in pictures) for pictures in (mine, theirs))
    more, gone = (now - before).total(), (before - now).total()
    out = [f"{n} pictures {what}" for n, what in ((more, "more"), (gone, "gone")) if n]
    if not out:
        changed = (Counter(theirs) - Counter(mine)).total()
        out = [f"captions, sizes or the background of {changed} pictures" if changed else "the order of the pictures"]
    return out


def claim(work: Path, identity: Identity, exclusive: bool) -> Path:
    """The folder of `work` where a training is done, with its identity beside it, made now if it is not there.

    A training of the same course but of another number of steps, which has states to go on from, becomes this one. UserError
    where it is beyond the last step; and, if `exclusive`, where another one stands in `work`: what differs, and what there is
    to choose.
    """
    folder, other = work / identity.name, begun(work, identity, exclusive)
    if other and other != folder:
        remove(other / LOG_FILE)  # it is not finished any more
        replace(other, folder)
    folder.mkdir(parents=True, exist_ok=True)
    identity.write(folder)
    return folder


def begun(work: Path, identity: Identity, exclusive: bool) -> Path | None:
    """The folder of the training that `claim` would go on with; None where there is none. UserError as there."""
    folder, last = work / identity.name, identity.parts["train"].get("steps", 0)
    if folder.exists():
        return folder
    for other, found in _begun(work, exclusive):
        if found.course != identity.course or not state.kept(other):
            if exclusive:
                raise UserError(_in_the_way(other, found, identity))
            continue
        if (reached := max(state.kept(other))) > last:
            raise UserError(
                f"{other}: the training there is at step {reached}, beyond the {last} that are asked for: give at least "
                f"{reached} steps, choose another --out, or remove {other}"
            )
        return other
    return None


def goes_on(finished: Path, identity: Identity) -> None:
    """UserError where a training cannot go on from a finished one, which `train(keep_state=True)` left: it has as many steps
    already, or is another one; what differs, and what there is to choose."""
    found = Identity.read(finished)
    if found is None:
        raise UserError(
            f"{finished}: a finished training that does not say what it was; choose another --out, or remove it"
        )
    if found.course != identity.course:
        raise UserError(_in_the_way(finished, found, identity))
    before, now = (each.parts["train"].get("steps", 0) for each in (found, identity))
    if now <= before:
        raise UserError(f"{finished}: finished, with {before} steps; ask for more to go on, or choose another --out")
    if not state.kept(finished):
        raise UserError(
            f"{finished}: finished with {before} steps, and without a state to go on from; choose another --out, or remove "
            "it to train from the start"
        )


def _begun(work: Path, finished: bool) -> list[tuple[Path, Identity]]:
    """Trainings of a folder that have left something, those that have ended only if `finished`."""
    folders = [f.parent for f in sorted(work.glob(f"*/{FILE}")) if not f.parent.name.startswith(".")]
    left = [f for f in folders if state.kept(f) or any(f.glob("step-*"))]
    pairs = [(f, Identity.read(f)) for f in left if finished or not (f / LOG_FILE).exists()]
    return [(f, found) for f, found in pairs if found]


def _in_the_way(folder: Path, found: Identity, asked: Identity) -> str:
    differences = found.differences(asked)
    shown = "; ".join(differences[:SHOWN]) + (
        f"; and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
    )
    return (
        f"{folder}: a training with other settings ({shown}) is there. Give its settings to go on with it, choose another "
        f"--out for a new one, or remove {folder}"
    )
