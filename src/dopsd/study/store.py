"""What is finished, kept under a key made of all that it depends on: pictures, weights, settings, code."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path
from typing import Any

from dopsd.support import sealed
from dopsd.support.files import remove, replace, tidy, whole
from dopsd.training.results import TIME_FILE

CARD = sealed.FILE  # in every kept folder: its key, what it ran on, and every file's checksum


def content(path: Path, leave_out: tuple[str, ...] = ()) -> str:
    """What is in a file, or in all files of a folder with their names, in sixteen hex digits.

    leave_out: names of files that do not count.
    """
    digest = hashlib.sha256()
    files = sorted(f for f in path.rglob("*") if f.is_file() and f.name not in leave_out) if path.is_dir() else [path]
    for file in files:
        digest.update(f"{file.relative_to(path).as_posix()}\0".encode())
        with file.open("rb") as f:
            digest.update(hashlib.file_digest(f, "sha256").digest())
    return digest.hexdigest()[:16]


def of(key: str) -> dict[str, str]:
    """The owner that a cell's folder is sealed with."""
    return {"cell": key}


class Store:
    """Finished folders under their keys, on this machine only; DVC and git ignore it, and deleting it loses time only.

    A folder is found here, or where an earlier run (or `dvc pull`) put it, if its seal says that it has the key and every
    file is as it was sealed.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def place(self, key: str) -> Path:
        """Where the folder of a key stands, once it is finished."""
        return self.folder / key

    def work(self, key: str) -> Path:
        """Where it is worked on."""
        return self.folder / "work" / key

    def find(self, key: str, published: Path | None = None) -> Path | None:
        """The finished folder of a key; None where there is none yet. A damaged one is said on stderr and does not count."""
        for folder in filter(None, (self.place(key), published)):
            try:
                if sealed.owner(folder) == of(key):
                    sealed.check(folder)
                    return folder
            except sealed.Damaged as error:
                print(f"{error}; it is not taken", file=sys.stderr, flush=True)
        return None

    def put(self, key: str, folder: Path, **facts: Any) -> Path:
        """Take a finished folder in, with facts such as the device that it was made on; it appears whole or not at all."""
        tidy(folder)
        sealed.seal(folder, of(key), apart=(TIME_FILE,), **facts)
        place = self.place(key)
        replace(folder, place)
        remove(self.work(key))
        return place


def publish(finished: dict[Path, Path], root: Path) -> None:
    """Copy finished folders to where they belong under `root` (target -> source), and remove there what is none of them.

    A target that is there already stays as it is. Folders appear whole or not at all, without the time that they took, which
    no two equal runs share. UserError where a source is damaged.
    """
    for target, source in finished.items():
        if source == target or _same(source, target):
            continue
        with whole(target) as part:
            shutil.copytree(source, part, ignore=shutil.ignore_patterns(TIME_FILE))
            sealed.check(part)
    _prune(root, set(finished))


def _same(source: Path, target: Path) -> bool:
    """Whether the target is the source, to the bit."""
    try:
        return sealed.sealed(target) == sealed.sealed(source) and bool(sealed.check(target))
    except sealed.Damaged:
        return False


def _prune(folder: Path, keep: set[Path]) -> None:
    """Remove folders that are no target, hold none and are inside none."""
    for child in sorted(folder.iterdir()):
        if child in keep:
            continue
        if child.is_dir() and any(child in k.parents for k in keep):
            _prune(child, keep)
        else:
            remove(child)
