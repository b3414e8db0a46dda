"""What of a folder is a picture to train on, what is left out, and why: every file and folder is accounted for."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dopsd.support.errors import UserError, printable, told
from dopsd.support.opener import SUFFIXES

MARK = ".dopsd"  # in a folder that dopsd writes to: nothing in it is a training picture
MANIFESTS = ("data.jsonl", "metadata.jsonl", "metadata.csv")  # the first that is there says which pictures are taken
TEXTS = (".txt", ".caption")  # captions beside pictures
NOTES = ("SOURCE.md", "scene.json")  # what dopsd's own sets hold besides
UNREAD = frozenset(
    ".heic .heif .jxl .jp2 .j2k .raw .dng .cr2 .cr3 .nef .arw .orf .rw2 .psd .xcf .svg .eps .pdf .tga .ico .exr .hdr".split()
)
SYSTEM = {"@eadir": "thumbnails", "thumbnails": "thumbnails", "thumbs.db": "thumbnails"}
SYSTEM |= dict.fromkeys(("__macosx", "desktop.ini", "$recycle.bin", "lost+found"), "a system's own")
SYSTEM |= dict.fromkeys(("system volume information",), "a system's own")
OWN = "where this run writes (--out)"
MASK, THUMBNAIL = "a mask of another picture", "a thumbnail of another picture"
DERIVED = re.compile(
    r"(?P<base>.+?)(?:(?P<label>-(?:mask|cond)label)|(?P<mask>[-_.]mask)|[-_.]thumb(?:nail)?|-\d+x\d+)"
)
Left = list[tuple[Path, str]]  # files and folders that are left out, each with the reason


@dataclass(frozen=True)
class Listing:
    """The pictures of a folder and the texts beside them, in order of their paths, and what is left out."""

    pictures: list[Path] = field(default_factory=list)
    texts: list[Path] = field(default_factory=list)
    left: Left = field(default_factory=list)


def mark(folder: Path) -> None:
    """Make a folder one that dopsd writes to."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / MARK).exists():
        (folder / MARK).write_text("Written by dopsd: no pictures to train on. Delete this file if they are.\n")


def marked(folder: Path) -> bool:
    """Whether a dopsd run wrote it; runs from before there was a mark are known by what they leave."""
    old = ("preset.yaml", "checkpoints"), ("features", "previews")
    return (folder / MARK).exists() or any(all((folder / n).exists() for n in names) for names in old)


def listed(folder: Path, out: Path | None = None) -> Listing:
    """Look through a folder and those in it. out: where the run writes, left out as well.

    UserError where it is no folder, one that cannot be listed, one that a run wrote, or `out` itself.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: not a folder; name the one that holds the pictures")
    if out is not None and out.resolve() == folder.resolve():
        raise UserError(f"{out}: --out is the folder of the pictures itself; choose another --out")
    if marked(folder):
        raise UserError(
            f"{folder}: a dopsd run wrote it; name the folder of the pictures (or delete {folder / MARK} if it is)"
        )
    found = Listing()
    _walk(folder, folder.resolve(), out.resolve() if out else None, {folder.resolve()}, found)
    for files in (found.pictures, found.texts):
        files.sort(key=lambda f: f.parts)
    _take_derived_out(found)
    found.left.sort(key=lambda pair: pair[0].parts)
    return found


def grouped(left: Iterable[tuple[Path, str]], folder: Path) -> list[str]:
    """What is left out, a line a reason: how many, the first of them, and why."""
    by_reason: dict[str, list[str]] = {}
    for file, reason in left:
        above = next((f for f in (folder, folder.resolve()) if file.is_relative_to(f)), None)
        by_reason.setdefault(reason, []).append(str(file.relative_to(above) if above else file))
    return [f"{_few(names)}: {reason}" for reason, names in by_reason.items()]


def _few(names: list[str], shown: int = 3) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return printable(", ".join(names[:shown])) + more


def _walk(folder: Path, root: Path, out: Path | None, seen: set[Path], found: Listing) -> None:
    """Sort what a folder holds into pictures, texts and what is left. seen: the real folders that were looked through."""
    try:
        with os.scandir(folder) as entries:
            inside = sorted(entry.name for entry in entries)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be listed ({error.strerror or told(error)}); mend its rights, or move it out of the set"
        ) from None
    for name in inside:
        path = folder / name
        if reason := _named(name) or _no_file(path):
            found.left.append((path, reason))
        elif not path.is_dir():
            _file(path, folder.resolve() == root, found)
        elif reason := _folder(path, root, out, seen):
            found.left.append((path, reason))
        else:
            seen.add(path.resolve())
            _walk(path, root, out, seen, found)


def _named(name: str) -> str | None:
    """Why a file or folder of this name is left out, if it is."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return "a name that is not UTF-8; rename it"
    return "hidden" if name.startswith(".") else SYSTEM.get(name.lower())


def _no_file(path: Path) -> str | None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return "a link to nothing" if path.is_symlink() else f"cannot be read ({error.strerror or told(error)})"
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "no file (a pipe or a device)"


def _folder(path: Path, root: Path, out: Path | None, seen: set[Path]) -> str | None:
    """Why a folder is left out, if it is."""
    real = path.resolve()
    if real == out:
        return OWN
    if real in seen or (path.is_symlink() and (real.is_relative_to(root) or root.is_relative_to(real))):
        return "a link to a folder that is looked through itself"
    return "a dopsd run wrote it" if marked(path) else None


def _file(path: Path, top: bool, found: Listing) -> None:
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        found.pictures.append(path)
    elif suffix in TEXTS:
        found.texts.append(path)
    elif suffix in UNREAD:
        found.left.append((path, f"{suffix} is not read; save it as PNG or JPEG"))
    elif path.name in MANIFESTS and not top:
        found.left.append((path, "not read here; put it at the top of the folder"))
    elif path.name not in (*MANIFESTS, *NOTES):
        found.left.append((path, "neither a picture nor a caption"))


def _take_derived_out(found: Listing) -> None:
    """Masks and thumbnails lie beside the pictures that they belong to, or masks in a folder of theirs."""
    there, kept = {(f.parent, f.stem) for f in found.pictures}, []
    for file in found.pictures:
        match = DERIVED.fullmatch(file.stem)
        if match and (match["label"] or (file.parent, match["base"]) in there):
            found.left.append((file, MASK if match["label"] or match["mask"] else THUMBNAIL))
        elif file.parent.name.lower() in ("mask", "masks") and (file.parent.parent, file.stem) in there:
            found.left.append((file, MASK))
        else:
            kept.append(file)
    found.pictures[:] = kept
