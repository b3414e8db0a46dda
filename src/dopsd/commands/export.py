"""A trained LoRA as the files that other tools open at strength 1.0.

alpha / rank is folded into B, so that a tool which knows nothing of alpha applies the same change.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

from dopsd.backbones import named
from dopsd.support import sealed
from dopsd.support.errors import UserError
from dopsd.support.files import sort_metadata, whole
from dopsd.support.text import read_text
from dopsd.training import lora
from dopsd.training.identity import Identity
from dopsd.training.lora import read

RECIPE = "preset.yaml"  # beside a finished training's checkpoints


def folded(weights: dict[str, Tensor], settings: dict) -> tuple[dict[str, Tensor], dict]:
    """The same change with alpha = rank: B times alpha / rank."""
    scale = settings["lora_alpha"] / settings["r"]
    out = {k: (v * scale if ".lora_B." in k else v).contiguous() for k, v in weights.items()}
    return out, settings | {"lora_alpha": settings["r"]}


def trained_on(checkpoint: Path) -> str | None:
    """The name of the backbone that a checkpoint, or an exported LoRA, is of: as it says itself, or the training beside it;
    None where nothing does."""
    seal = sealed.sealed(checkpoint)
    if seal and "backbone" in seal["facts"]:
        return seal["facts"]["backbone"]
    if found := Identity.read(checkpoint.parent):
        return found.parts["backbone"].get("name")
    for folder in (checkpoint, *checkpoint.absolute().parents[:2]):
        if (folder / RECIPE).is_file():
            said = yaml.safe_load(read_text(folder / RECIPE))
            return said.get("backbone", {}).get("name") if isinstance(said, dict) else None
    return None


def backbone_of(checkpoint: Path, asked: str | None) -> str:
    """The name of a checkpoint's backbone. asked: the one that a person names, if they do; UserError where the checkpoint is
    of another one, where neither says it, or where it is none."""
    if not (checkpoint / lora.FILE).exists():
        there = sorted(str(file.parent) for file in checkpoint.parent.glob(f"step-*/{lora.FILE}"))
        which = ", ".join(there) if there else "a folder that a training with tune: lora wrote (step-XXXX)"
        raise UserError(f"{checkpoint / lora.FILE}: no LoRA there; name {which}")
    found = trained_on(checkpoint)
    if asked and found and asked != found:
        raise UserError(f"--backbone: {checkpoint} is of {found}, not of {asked}; leave the option out")
    if not (found or asked):
        raise UserError(f"{checkpoint}: nothing there says which model it is of; name it with --backbone")
    return str(found or asked)


def export(
    kind: str, checkpoint: Path, out: Path, name: str, metadata: dict[str, str], owner: Any = "export"
) -> list[Path]:
    """Write `out`/pytorch_lora_weights.safetensors for diffusers and `out`/comfyui/<name>.safetensors -> the files, as seen
    from `out`.

    kind: the backbone's name. metadata: plain texts kept inside the ComfyUI file. owner: of the seal on the other. Existing
    files of these names are replaced; equal weights are equal bytes. UserError where the checkpoint is damaged, or does not
    say its rank and alpha.
    """
    backbone, (given, settings) = named(kind), read(checkpoint)
    if lacking := {"r", "lora_alpha"} - settings.keys():
        raise UserError(
            f"{checkpoint / lora.FILE}: does not say {' and '.join(sorted(lacking))}; give a LoRA of a training"
        )
    weights, settings = folded(given, settings)
    half = {k: v.to(torch.bfloat16) for k, v in weights.items()}  # as such files usually are
    plain, comfy = out / lora.FILE, out / "comfyui" / f"{name}.safetensors"
    with whole(comfy) as part:
        save_file({f"{backbone.comfy}{k}": v for k, v in half.items()}, part, {"format": "pt", **metadata})
        sort_metadata(part)
    with whole(plain) as part:
        backbone.save_lora(part.parent, weights, settings, part.name)
        sort_metadata(part)
    sealed.seal(out, owner, only=[plain], backbone=kind)  # not ComfyUI's: it goes where that looks for it
    return [Path(lora.FILE), comfy.relative_to(out)]
