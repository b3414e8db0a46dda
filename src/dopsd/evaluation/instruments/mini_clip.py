"""The mini CLIP: a tiny open_clip model of the world, trained on renders and captions. An instrument only."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from dopsd.config.section import Section
from dopsd.evaluation import by_world, fidelity
from dopsd.evaluation.instruments import Score, View
from dopsd.evaluation.rows import NEW
from dopsd.support.errors import UserError
from dopsd.support.pictures import from_pil
from dopsd.world import tokens
from dopsd.world.captions import caption
from dopsd.world.scenes import ATTRIBUTES, index, render

if TYPE_CHECKING:
    from open_clip.model import CLIP

LENGTH = 32
CONFIG: dict[str, Any] = {
    "embed_dim": 64,
    "vision_cfg": {"layers": 3, "width": 128, "head_width": 32, "patch_size": 8, "image_size": 64},
    "text_cfg": {
        "context_length": LENGTH,
        "vocab_size": len(tokens.VOCABULARY),
        "width": 128,
        "heads": 4,
        "layers": 3,
        "pool_type": "eos",
        "eos_id": tokens.END,
        "pad_id": tokens.PAD,
    },
}


class MiniClip:
    """An open_clip model with the world's word-level tokens."""

    def __init__(self, model: CLIP):
        self.model, self.device = model, next(model.parameters()).device

    @torch.no_grad()
    def image_features(self, images: Tensor | Sequence[Tensor]) -> Tensor:
        """(n, 3, 64, 64) in [-1, 1], or n pictures (3, H, W) of any size -> (n, 64) of unit norm."""
        if not isinstance(images, Tensor):
            size = cast(tuple[int, int], self.model.visual.image_size)
            images = torch.cat([F.interpolate(x[None], size, mode="bilinear", antialias=True) for x in images])
        out = [self.model.encode_image(chunk.to(self.device)) for chunk in images.split(256)]
        return F.normalize(torch.cat(out), dim=-1).cpu()

    @torch.no_grad()
    def text_features(self, texts: list[str]) -> Tensor:
        """Texts of the world's words, at most 31 each -> (n, 64) of unit norm."""
        return F.normalize(self.model.encode_text(clip_tokens(texts).to(self.device)), dim=-1).cpu()


def clip_tokens(texts: list[str]) -> Tensor:
    """LongTensor (n, 32): the words' ids, an end mark, padding."""
    return tokens.pad([[*tokens.words_to_ids(t), tokens.END] for t in texts], LENGTH)


def build_clip(config: dict[str, Any] = CONFIG) -> CLIP:
    """An untrained open_clip.CLIP of this configuration."""
    from open_clip.model import CLIP

    return CLIP(**config)


def load_clip(path: str | Path = "models/mini-clip", device: str | torch.device = "cpu") -> MiniClip:
    """Load the mini CLIP; UserError where its files are missing or do not fit."""
    config, file = Path(path) / "open_clip_config.json", Path(path) / "open_clip_model.safetensors"
    for needed in (config, file):
        if not needed.exists():
            raise UserError(f"{needed}: the mini CLIP is missing; restore it from git, or run the stage `clip`")
    model = build_clip(json.loads(config.read_text())["model_cfg"])
    try:
        model.load_state_dict(load_file(file))
    except RuntimeError as error:
        raise UserError(f"{file}: does not fit {config} ({error}); run the stage `clip` again") from None
    return MiniClip(model.eval().requires_grad_(False).to(device))


class Settings(Section):
    """model: the folder of its weights."""

    model: str


class ByMiniClip:
    """How near pictures come to the training pictures and to each other, in the mini CLIP's features; and a second reader of
    the concept's attributes, of another make than `reader`: where the two disagree, neither is to be believed alone."""

    Settings = Settings
    scores: ClassVar = {
        "clip_i": Score("higher", "mini CLIP: mean cosine to the training pictures", (NEW,), ("training",)),
        "clip_fidelity": Score(
            "higher", "mini CLIP, zero-shot: share of the concept's own attributes that are drawn", (NEW,), ("truth",)
        ),
        "copying": Score("as untouched", "mini CLIP: cosine to the nearest training picture", (NEW,), ("training",)),
        "copying_renders": Score("as untouched", "the same of true renders", (NEW,), ("training", "truth")),
        "diversity": Score("higher", "mini CLIP: mean 1 - cosine among a prompt's pictures", (NEW,), ("noises",)),
    }

    def __init__(self, settings: Settings, device: torch.device, opened: Callable[[str], Any]):
        self.clip = load_clip(settings.model, device)

    def features(self, view: View) -> Tensor:
        """(n, 64) of unit norm."""
        return view.once("mini_clip features", lambda: self.clip.image_features(_stacked(view.images)))

    def read(self, view: View, attribute: str) -> Tensor:
        """The value whose words are nearest to each picture, by its number: LongTensor (n,)."""
        said = [caption({attribute: word}, {attribute}, "short", random.Random(0)) for word in ATTRIBUTES[attribute]]
        return (self.features(view) @ self.clip.text_features(said).T).argmax(1)

    def score(self, name: str, view: View) -> Tensor | None:
        """(n,): see `fidelity`."""
        if name == "clip_fidelity":
            named = {a: word for a, word in (view.own or {}).items() if a in ATTRIBUTES}  # a look has no words
            found = [self.read(view, a) == index(a, word) for a, word in named.items()]
            return torch.stack(found).float().mean(0) if found else None
        if name == "diversity":
            return fidelity.diversity(self.features(view), [(r.group, r.text) for r in view.rows])
        known = self.clip.image_features(_stacked([from_pil(i.image()) for i in view.items]))
        if name == "copying_renders":
            return fidelity.copying(self.clip.image_features(render(by_world.scenes_of(view.rows))), known)
        return (fidelity.clip_i if name == "clip_i" else fidelity.copying)(self.features(view), known)


def _stacked(images: Sequence[Tensor]) -> Tensor | Sequence[Tensor]:
    """Pictures of the model's own size as one tensor, which is not resampled."""
    return torch.stack(list(images)) if {x.shape[-2:] for x in images} == {(64, 64)} else images


INSTRUMENT = ByMiniClip
