"""Files of tensors, read with one clear error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dopsd.support.errors import UserError, told
from dopsd.support.text import regular


def finite(tensor: Tensor) -> bool:
    """Whether every number of a tensor is one."""
    return not tensor.is_floating_point() or bool(
        torch.isfinite(tensor if tensor.itemsize > 1 else tensor.float()).all()
    )


def check_finite(named: Mapping[str, Tensor], where: object, remedy: str) -> None:
    """UserError where a tensor holds a number that is none."""
    if bad := [name for name, tensor in named.items() if not finite(tensor)]:
        raise UserError(f"{where}: {len(bad)} of {len(named)} tensors are not finite (the first: {bad[0]}); {remedy}")


def read(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """A safetensors file -> (its tensors by name, its metadata); UserError where it is missing, torn or of another kind."""
    try:
        with safe_open(regular(file), "pt") as f:
            return {k: f.get_tensor(k) for k in f.keys()}, f.metadata() or {}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{file}: not a readable safetensors file ({told(error)}); write it again") from None
