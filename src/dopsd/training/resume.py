"""What a training goes on from: its own last good state, or that of an earlier training of fewer steps."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from dopsd.config.train import Train
from dopsd.support import sealed
from dopsd.support.files import whole
from dopsd.training import results, state


def newest(folder: Path, earlier: Path | None, owner: Any, settings: Train, main: bool) -> dict | None:
    """The last state that is good and has every checkpoint up to it, of `folder`, else of `earlier`; None if there is none.

    main: this process says what is skipped and why, and brings the checkpoints of `earlier` over.
    """

    def say(text: str) -> None:
        if main:
            state.to_stderr(text)

    seen = False
    for place in filter(None, (folder, earlier)):
        seen = seen or bool(state.kept(place))

        def fits(step: int, place: Path = place) -> None:
            for kept in (k for k in settings.kept if k <= step):
                sealed.check(results.step_folder(place, kept), owner)

        left = state.newest(place, owner, settings.steps, fits, say)
        if left is None:
            continue
        if main and place != folder:
            for kept in (k for k in settings.kept if k <= left["step"]):
                _copied(results.step_folder(place, kept), results.step_folder(folder, kept))
        return left
    if seen:
        say(f"{folder}: no state can be gone on from; the training begins at step 0")
    return None


def _copied(source: Path, target: Path) -> None:
    with whole(target) as part:
        shutil.copytree(source, part)
