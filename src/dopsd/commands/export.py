"""A trained LoRA as the files that other tools open at strength 1.0.

alpha / rank is folded into B, so that a tool which knows nothing of alpha applies the same change.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from dopsd.backbones.base import Backbone
from dopsd.training import lora
from dopsd.training.lora import read


def folded(weights: dict[str, Tensor], settings: dict) -> tuple[dict[str, Tensor], dict]:
    """The same change with alpha = rank: B times alpha / rank."""
    scale = settings["lora_alpha"] / settings["r"]
    out = {k: (v * scale if ".lora_B." in k else v).contiguous() for k, v in weights.items()}
    return out, settings | {"lora_alpha": settings["r"]}


def export(
    backbone: Backbone | type[Backbone], checkpoint: Path, out: Path, name: str, metadata: dict[str, str]
) -> list[Path]:
    """Write `out`/pytorch_lora_weights.safetensors for diffusers and `out`/comfyui/<name>.safetensors -> the files, as seen
    from `out`.

    metadata: plain texts kept inside the ComfyUI file. Existing files of these names are replaced.
    """
    weights, settings = folded(*read(checkpoint))
    half = {k: v.to(torch.bfloat16) for k, v in weights.items()}  # as such files usually are
    backbone.save_lora(out, weights, settings)
    comfy = out / "comfyui" / f"{name}.safetensors"
    comfy.parent.mkdir(parents=True, exist_ok=True)
    save_file({f"{backbone.comfy}{k}": v for k, v in half.items()}, comfy, {"format": "pt", **metadata})
    return [Path(lora.FILE), comfy.relative_to(out)]
