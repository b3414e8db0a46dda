"""A bad input as a row of a table: what is run, in which folder, and what must be said. See `test_inputs.py`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dopsd.support import alone

GONE = object()  # in the place of a file, or of a field: taken away
Content = str | bytes | Callable[[Path], None] | object


@dataclass(frozen=True)
class Case:
    """mechanism: what lets the fault be found. run: arguments of `dopsd`, or "stage", its name and its arguments. says: what
    stands in the one line. files: put into the folder before. params: dotted fields of the study's params.yaml, which is
    there if any is given."""

    mechanism: str
    run: tuple[str, ...]
    says: tuple[str, ...]
    files: Mapping[str, Content] = field(default_factory=dict)
    params: Mapping[str, Any] | None = None
    status: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    process: bool = False


def cases(mechanism: str, *rows: tuple, **common) -> list[Case]:
    """Cases of one mechanism: each row is (run, says) or (run, says, more); `common` holds for all."""
    out = []
    for run, says, *more in rows:
        says = (says,) if isinstance(says, str) else tuple(says)
        run = tuple(run.split()) if isinstance(run, str) else tuple(run)
        out.append(Case(mechanism, run, says, **(common | (more[0] if more else {}))))
    return out


@dataclass(frozen=True)
class Model:
    """A copy of one of the session's tiny models with some files changed: by a text, bytes, GONE, or a dict that goes over
    what a JSON file says."""

    of: str
    change: Mapping[str, Any]

    def write(self, target: Path, models: Mapping[str, Path]) -> None:
        shutil.copytree(models[self.of], target)
        for name, content in self.change.items():
            file = target / name
            if content is GONE:
                shutil.rmtree(file) if file.is_dir() else file.unlink()
            elif isinstance(content, Path):  # another model's part in its place
                shutil.rmtree(file)
                shutil.copytree(models[content.parts[0]].joinpath(*content.parts[1:]), file)
            elif isinstance(content, dict):
                file.write_text(json.dumps(json.loads(file.read_text()) | content))
            else:
                write(file, content)


def write(file: Path, content: Content) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif isinstance(content, str):
        file.write_text(content, encoding="utf-8")
    elif callable(content):
        content(file)


def placed(tree: dict, changes: Mapping[str, Any]) -> dict:
    """A tree with dotted fields changed, or taken away (GONE)."""
    for path, value in changes.items():
        *parents, last = path.split(".")
        section = tree
        for key in parents:
            section = section.setdefault(key, {})
        if value is GONE:
            section.pop(last, None)
        else:
            section[last] = value
    return tree


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """All that is in a folder, but the lock of a stage, which is no result and stays."""
    files = sorted(f for f in folder.rglob("*") if f.name != alone.FILE)
    return {str(f.relative_to(folder)): f.read_bytes() if f.is_file() else None for f in files}


def flat(groups: Sequence[list[Case]]) -> list[Case]:
    return [case for group in groups for case in group]
