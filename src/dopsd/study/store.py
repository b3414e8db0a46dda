"""What is finished, kept under a key made of all that it depends on: pictures, weights, settings, code."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from dopsd.support.files import read_json, write_json
from dopsd.training.loop import TIME_FILE

CARD = "cell.json"  # in every kept folder: its key, and what it ran on


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


class Store:
    """Finished folders under their keys, on this machine only; DVC and git ignore it, and deleting it loses time only.

    A folder is found here, or where an earlier run (or `dvc pull`) put it, if it says there that it has the key.
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
        """The finished folder of a key; None where there is none yet."""
        for folder in filter(None, (self.place(key), published)):
            if (folder / CARD).exists() and read_json(folder / CARD).get("key") == key:
                return folder
        return None

    def put(self, key: str, folder: Path, **facts: object) -> Path:
        """Take a finished folder in, with facts such as the device that it was made on; it appears whole or not at all."""
        write_json({"key": key, **facts}, folder / CARD)
        place = self.place(key)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(place, ignore_errors=True)
        folder.replace(place)
        shutil.rmtree(self.work(key), ignore_errors=True)
        return place


def publish(finished: dict[Path, Path], root: Path) -> None:
    """Copy finished folders to where they belong under `root` (target -> source), and remove there what is none of them.

    A target that is there already stays as it is. Folders appear whole or not at all, without the time that they took, which
    no two equal runs share.
    """
    for target, source in finished.items():
        if source == target or _same(source, target):
            continue
        temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.copytree(source, temporary, ignore=shutil.ignore_patterns(TIME_FILE))
        shutil.rmtree(target, ignore_errors=True)
        temporary.replace(target)
    _prune(root, set(finished))


def _same(source: Path, target: Path) -> bool:
    return (target / CARD).exists() and (target / CARD).read_bytes() == (source / CARD).read_bytes()


def _prune(folder: Path, keep: set[Path]) -> None:
    """Remove folders that are no target, hold none and are inside none."""
    for child in sorted(folder.iterdir()):
        if child in keep:
            continue
        if child.is_dir() and any(child in k.parents for k in keep):
            _prune(child, keep)
        elif child.is_dir():
            shutil.rmtree(child)
        else:
            child.unlink()
