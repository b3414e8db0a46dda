"""The reader: a small classifier of every attribute, trained on renders. An instrument: no generator learns from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from dopsd.config.section import Section
from dopsd.evaluation import by_world, fidelity
from dopsd.evaluation.instruments import Score, View
from dopsd.evaluation.rows import NAMELESS, NEW, ORDINARY, OTHER
from dopsd.support.errors import UserError
from dopsd.world.looks import LOOKS
from dopsd.world.scenes import ATTRIBUTES, NAMES

FEATURES = 64


def _block(inside: int, outside: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU()
    )


class Reader(nn.Module):
    """Images (n, 3, 64, 64) in [-1, 1] -> for each attribute of the world, logits (n, number of values)."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            _block(3, 32, 1),
            _block(32, 48, 2),
            _block(48, 64, 1),
            _block(64, 96, 2),
            _block(96, 96, 1),
            _block(96, 128, 2),
            _block(128, 128, 1),
            _block(128, 160, 2),
        )
        self.squeeze = nn.Linear(160 * 16, FEATURES)
        self.register_buffer("spread", torch.ones(FEATURES))  # of the features over the world's renders
        self.heads = nn.ModuleDict({a: nn.Linear(FEATURES, len(v)) for a, v in ATTRIBUTES.items()})
        self.damage = nn.Linear(
            FEATURES, 2
        )  # so that the features keep what blurs and fades a picture, and it can be asked
        self.look = nn.Linear(FEATURES, 1 + len(LOOKS))  # none, or a look that no word describes

    def features(self, images: Tensor) -> Tensor:
        """(n, 3, 64, 64) in [-1, 1] -> (n, 64), of unit deviation over the world: the features of Frechet and KID."""
        return self._squeezed(images) / self.spread

    @torch.no_grad()
    def standardise(self, renders: Tensor) -> None:
        """Set the spread of the features from renders of the world (n, 3, 64, 64)."""
        self.spread = torch.cat([self._squeezed(chunk) for chunk in renders.split(256)]).std(0)

    def _squeezed(self, images: Tensor) -> Tensor:
        return self.squeeze(self.trunk(images).flatten(1))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return self.logits(self._squeezed(images))

    def logits(self, squeezed: Tensor) -> dict[str, Tensor]:
        """What is read off the features before they are standardised: of every attribute, "look" and "damage"."""
        x = F.silu(squeezed)
        return {a: head(x) for a, head in self.heads.items()} | {"look": self.look(x), "damage": self.damage(x)}

    @torch.no_grad()
    def looks(self, images: Tensor, batch_size: int = 256) -> Tensor:
        """How likely each picture has each of the looks without words: (n, len(LOOKS)) in [0, 1], in the order of `LOOKS`."""
        return torch.cat([self(chunk)["look"].softmax(1)[:, 1:] for chunk in images.split(batch_size)])

    @torch.no_grad()
    def damages(self, images: Tensor, batch_size: int = 256) -> Tensor:
        """The blur of each picture in pixels of a Gaussian's deviation, and the contrast that is left: (n, 2)."""
        return torch.cat([self(chunk)["damage"] for chunk in images.split(batch_size)])

    @torch.no_grad()
    def read(self, images: Tensor, batch_size: int = 256) -> Tensor:
        """The most likely value of each attribute: LongTensor (n, 9) in the order of `world.ATTRIBUTES`."""
        out = [self(chunk) for chunk in images.split(batch_size)]
        return torch.cat([torch.stack([logits[a].argmax(1) for a in NAMES], 1) for logits in out])


def load_reader(path: str | Path = "models/mini-reader", device: str | torch.device = "cpu") -> Reader:
    """Load the reader; UserError where its weights are missing or of another shape."""
    file = Path(path) / "model.safetensors"
    if not file.exists():
        raise UserError(f"{file}: the reader's weights are missing; restore them from git, or run the stage `reader`")
    reader = Reader()
    try:
        reader.load_state_dict(load_file(file))
    except RuntimeError as error:
        raise UserError(f"{file}: not a reader of this world ({error}); run the stage `reader` again") from None
    return reader.eval().requires_grad_(False).to(device)


class Settings(Section):
    """model: the folder of its weights."""

    model: str


OWN = "own_"  # before an attribute: a score of that one alone
LEAKAGE: dict[str, fidelity.Unasked] = {"leakage": "all", "leakage_open": "open", "leakage_named": "named"}


class ByReader:
    """What the reader finds in pictures, against the scenes that the prompts were made of."""

    Settings = Settings
    scores: ClassVar = {
        "concept_fidelity": Score(
            "higher", "share of the concept's own attributes that are drawn", (NEW, NAMELESS, OTHER), ("truth",)
        ),
        "adherence": Score("higher", "share of the stated attributes that are drawn", (NEW, ORDINARY), ("truth",)),
        "style": Score("higher", "whether the picture is in the scene's style", (NEW,), ("truth",)),
        **{f"{OWN}{a}": Score("higher", f"whether the concept's own {a} is drawn", (NEW,), ("truth",)) for a in NAMES},
        "leakage": Score("as untouched", "share of the concept's attributes drawn unasked", (ORDINARY,), ("truth",)),
        "leakage_open": Score(
            "as untouched", "the same of attributes that the prompt leaves open", (ORDINARY,), ("truth",)
        ),
        "leakage_named": Score("as untouched", "the same of those it states otherwise", (ORDINARY,), ("truth",)),
    }

    def __init__(self, settings: Settings, device: torch.device, opened: Callable[[str], Any]):
        self.reader, self.device = load_reader(settings.model, device), device

    def images(self, view: View) -> Tensor:
        """The pictures on the reader's device: (n, 3, 64, 64)."""
        return view.once("on the reader's device", lambda: torch.stack(list(view.images)).to(self.device))

    def features(self, view: View) -> Tensor:
        """(n, 64), of unit deviation over the world, on the CPU."""
        return view.once("reader features", lambda: self._of(self.reader.features, view))

    @torch.no_grad()
    def _of(self, what: Callable[[Tensor], Tensor], view: View) -> Tensor:
        return torch.cat([what(part) for part in self.images(view).split(128)]).cpu()

    def score(self, name: str, view: View) -> Tensor | None:
        """(n,): see `fidelity`. Of a look that no words describe, fidelity and leakage are whether a picture has it."""
        read = view.once("read", lambda: self.reader.read(self.images(view)).cpu())
        wanted, stated = by_world.scenes_of(view.rows).attributes, by_world.stated(view.rows)
        if name == "adherence":
            return fidelity.adherence(read, wanted, stated)
        if name == "style":  # a look is laid over a picture of another style, which is not asked for
            return None if view.own and "look" in view.own else fidelity.style(read, wanted)
        assert view.own is not None, f"{name} is about a concept of the world"
        if look := view.own.get("look"):
            looks = view.once("looks", lambda: self._of(self.reader.looks, view))
            return (
                (looks[:, list(LOOKS).index(look)] > 0.5).float() if name in ("concept_fidelity", "leakage") else None
            )
        if name == "concept_fidelity":
            return fidelity.concept_fidelity(read, wanted, view.own)
        if name.startswith(OWN):
            attribute = name.removeprefix(OWN)
            one = {attribute: view.own[attribute]} if attribute in view.own else None
            return fidelity.concept_fidelity(read, wanted, one) if one else None
        return fidelity.leakage(read, wanted, stated, view.own, LEAKAGE[name])


INSTRUMENT = ByReader
