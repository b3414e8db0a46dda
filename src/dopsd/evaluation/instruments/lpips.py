"""LPIPS on VGG16 (arXiv 1801.03924), torchmetrics' own, with VGG's weights from safetensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors import safe_open
from torch import Tensor

from dopsd.backbones import hub
from dopsd.config.section import Source
from dopsd.evaluation.instruments import Score, View
from dopsd.evaluation.rows import REWRITE
from dopsd.support.errors import UserError
from dopsd.support.pictures import from_pil

FILES = ("model.safetensors",)


class Lpips:
    """Perceptual distance of pictures of one size. folder: holds model.safetensors with VGG16's `features.*` (timm's
    vgg16.tv_in1k, torchvision's weights); the linear layers come with torchmetrics."""

    def __init__(self, folder: Path, device: torch.device):
        from torchmetrics.functional.image.lpips import _LPIPS

        self.net = _LPIPS(pretrained=True, net="vgg", pnet_rand=True)
        layers: dict[str, Any] = {  # the convolutions
            name: m for part in self.net.net.children() for name, m in part.named_children() if hasattr(m, "weight")
        }
        try:
            with safe_open(folder / FILES[0], "pt") as f, torch.no_grad():
                for name, layer in layers.items():
                    layer.weight.copy_(f.get_tensor(f"features.{name}.weight"))
                    layer.bias.copy_(f.get_tensor(f"features.{name}.bias"))
        except (OSError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"{folder / FILES[0]}: no VGG16 ({reason}); name timm/vgg16.tv_in1k or its folder"
            ) from None
        self.net.to(device)
        self.device = device

    @torch.no_grad()
    def distance(self, images: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """LPIPS-D of each pair (3, H, W) in [-1, 1], 0 for equal pictures: (n,)."""
        pairs = zip(images, targets, strict=True)
        return torch.stack(
            [self.net(a[None].to(self.device), b[None].to(self.device)).cpu().flatten()[0] for a, b in pairs]
        )


class ByLpips:
    """A rewritten caption's picture beside the training picture."""

    Settings = Source
    scores: ClassVar = {"lpips_distance": Score("lower", "LPIPS-D of the same pair", (REWRITE,), ("picture",))}

    def __init__(self, settings: Source, device: torch.device, opened: Callable[[str], Any]):
        self.eye = Lpips(fetch(settings), device)

    def score(self, name: str, view: View) -> Tensor:
        """(n,)."""
        return self.eye.distance(view.images, [from_pil(i.image()) for i in view.targets()])


def fetch(settings: Source) -> Path:
    """The folder of its files."""
    return hub.fetch(settings.model, settings.revision, "lpips's model", FILES)


INSTRUMENT = ByLpips
