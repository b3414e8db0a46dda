"""States of unfinished trainings: sealed, the last few kept, so that a killed training goes on exactly from a good one."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from dopsd.support import sealed
from dopsd.support.errors import UserError, told
from dopsd.support.files import remove, whole

FORMAT = 1
FILE = "state.pt"  # in the folder of a state


def fingerprint(*parts) -> str:
    """Sixteen hex digits of everything that a training depends on; a state of another fingerprint is never resumed."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def save(file: Path, state: dict) -> None:
    """Write tensors and plain values so that a kill or a full disk at any moment leaves the old file or the new one, never a
    part. UserError where the disk does not take it."""
    with whole(file) as part, part.open("wb") as f:  # an open file: the archive in it has no name of the path's
        torch.save({"format": FORMAT, **state}, f)


def load(file: Path) -> dict | None:
    """The state in a file, or None where there is none; UserError where it cannot be read."""
    if not file.exists():
        return None
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        if state["format"] != FORMAT:
            raise ValueError(f"format {state['format']}, not {FORMAT}")
    except Exception as error:  # torch raises many kinds for a torn or foreign file
        raise UserError(
            f"{file}: not a state of a training ({told(error)}); delete it to train from the start"
        ) from None
    return state


def place(folder: Path, step: int) -> Path:
    """Where a training keeps its state after a step."""
    return folder / f"state-{step:07d}"


def kept(folder: Path) -> dict[int, Path]:
    """The states of a training by step, the last first, good or not."""
    found = {int(f.name[6:]): f for f in folder.glob("state-*") if f.name[6:].isdigit()}
    return dict(sorted(found.items(), reverse=True))


def keep(folder: Path, state: dict, owner: Any, most: int) -> None:
    """Write a state beside the older ones, then remove all but the last `most`, and those of later steps, which were no good.

    owner: whose state it is, see `newest`. A disk that is full leaves the older ones.
    """
    with whole(place(folder, state["step"])) as part:
        part.mkdir()
        save(part / FILE, state)
        sealed.seal(part, owner)
    prune(folder, most, state["step"])


def prune(folder: Path, most: int, last: int | None = None) -> None:
    """Remove all states but the `most` last ones up to step `last` (None: of any step)."""
    good = [step for step in kept(folder) if last is None or step <= last][:most]
    for step, path in kept(folder).items():
        if step not in good:
            remove(path)


def newest(folder: Path, owner: Any, last: int, fits: Callable[[int], None], say: Callable[[str], None]) -> dict | None:
    """The last good state of an owner's, at most of step `last`; None where there is none.

    fits: raises UserError where a state of this step cannot be gone on from. say: told of every one that is skipped, and why.
    """
    for step, path in kept(folder).items():
        try:
            if step > last:
                raise UserError(f"{path}: later than the training's last step, {last}")
            sealed.check(path, owner)
            fits(step)
            return load(path / FILE)
        except UserError as error:
            say(f"{error}; this state is skipped")
    return None


def to_stderr(text: str) -> None:
    """Say something beside the progress bar."""
    print(text, file=sys.stderr, flush=True)
