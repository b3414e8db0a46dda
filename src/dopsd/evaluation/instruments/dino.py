"""DINOv2 or DINOv3: how near a picture is to another, and features for distances between sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoImageProcessor, AutoModel

from dopsd.backbones import hub
from dopsd.backbones.hub import load_part
from dopsd.config.section import Source
from dopsd.evaluation.instruments import Score, View
from dopsd.evaluation.rows import REWRITE
from dopsd.support.pictures import from_pil, to_pil


class Dino:
    """A vision transformer of transformers (Dinov2Model, DINOv3ViTModel), with its own image processor.

    source: a folder or a hub name. Images are (3, H, W) in [-1, 1], of any size each.
    """

    def __init__(self, source: str, revision: str | None, device: torch.device):
        self.model = load_part(AutoModel, source, revision, "DINO", use_safetensors=True).eval().to(device)
        self.model.requires_grad_(False)
        self.processor = load_part(AutoImageProcessor, source, revision, "DINO's image processor")
        self.device = device

    @torch.no_grad()
    def _tokens(self, images: Sequence[Tensor], batch_size: int = 16) -> Tensor:
        """Every token of the last layer: (n, 1 + registers + patches, d)."""
        out = []
        for start in range(0, len(images), batch_size):
            inputs = self.processor([to_pil(x) for x in images[start : start + batch_size]], return_tensors="pt")
            out.append(self.model(inputs["pixel_values"].to(self.device)).last_hidden_state.float().cpu())
        return torch.cat(out)

    def features(self, images: Sequence[Tensor]) -> Tensor:
        """The class tokens (n, d): what FD-DINOv2 and the kernel distance compare (arXiv 2306.04675)."""
        return self._tokens(images)[:, 0]

    def patches(self, images: Sequence[Tensor]) -> Tensor:
        """The mean patch token of each picture, of unit norm: (n, d)."""
        first = 1 + getattr(self.model.config, "num_register_tokens", 0)
        return F.normalize(self._tokens(images)[:, first:].mean(1), dim=-1)

    def distance(self, images: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """DINO-D: 1 - cosine of the mean patch tokens of each pair, in [0, 2]: (n,)."""
        return 1 - (self.patches(images) * self.patches(targets)).sum(1)


class ByDino:
    """A rewritten caption's picture beside the training picture."""

    Settings = Source
    scores: ClassVar = {
        "dino_distance": Score(
            "lower",
            "DINO-D of a rewritten caption's picture and its training picture: rewards copying, too",
            (REWRITE,),
            ("picture",),
        )
    }

    def __init__(self, settings: Source, device: torch.device, opened: Callable[[str], Any]):
        self.eye = Dino(str(fetch(settings)), None, device)

    def features(self, view: View) -> Tensor:
        """Class tokens (n, d)."""
        return view.once("dino features", lambda: self.eye.features(view.images))

    def score(self, name: str, view: View) -> Tensor:
        """(n,)."""
        return self.eye.distance(view.images, [from_pil(i.image()) for i in view.targets()])


def fetch(settings: Source) -> Path:
    """The folder of its files."""
    return hub.fetch(settings.model, settings.revision, "dino's model", hub.WEIGHTS, hub.OPTIONAL)


INSTRUMENT = ByDino
