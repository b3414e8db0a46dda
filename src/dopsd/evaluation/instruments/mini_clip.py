"""The mini CLIP: a tiny open_clip model of the world, trained on renders and captions. An instrument only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from dopsd.support.errors import UserError
from dopsd.world import tokens

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
