"""States of unfinished trainings: written atomically, checked when read, so that a killed training goes on exactly."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import torch

from dopsd.support.errors import UserError

FORMAT = 1


def fingerprint(*parts) -> str:
    """Sixteen hex digits of everything that a training depends on; a state of another fingerprint is never resumed."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def save(file: Path, state: dict) -> None:
    """Write tensors and plain values so that a kill at any moment leaves the old file or the new one, never a part."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(file.name + ".tmp")
    with temporary.open("wb") as f:
        torch.save({"format": FORMAT, **state}, f)
        f.flush()
        os.fsync(f.fileno())
    temporary.replace(file)


def load(file: Path) -> dict | None:
    """The state in a file, or None where there is none; UserError where it cannot be read."""
    if not file.exists():
        return None
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        if state["format"] != FORMAT:
            raise ValueError(f"format {state['format']}, not {FORMAT}")
    except Exception as error:  # torch raises many kinds for a torn or foreign file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{file}: not a state of a training ({reason}); delete it to train from the start") from None
    return state
