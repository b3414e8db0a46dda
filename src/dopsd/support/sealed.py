"""Folders that say what is in them and whose they are, so that a flipped bit, a lost file and another's folder are found.

A sealed folder holds `sealed.json`: the sha256 and size of every file, the owner (what made it, and for what), facts, and a
checksum of itself. No times and no process in it: equal folders have equal seals. Hidden files do not count: locks, and what
file managers write.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dopsd.support.errors import UserError, told
from dopsd.support.files import write_text

FILE = "sealed.json"


class Damaged(UserError):
    """A folder is not what was sealed: the message names the file and what differs."""


def digest(file: Path) -> str:
    """The sha256 of what is in a file, in hex digits."""
    with file.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _files(folder: Path) -> dict[str, Path]:
    found = ((f.relative_to(folder), f) for f in sorted(folder.rglob("*")) if f.is_file())
    return {n.as_posix(): f for n, f in found if n.as_posix() != FILE and not any(p.startswith(".") for p in n.parts)}


def _spelled(content: Mapping[str, Any]) -> str:
    body = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
    return (
        json.dumps({**content, "checksum": hashlib.sha256(body.encode()).hexdigest()}, indent=1, sort_keys=True) + "\n"
    )


def seal(
    folder: Path, owner: Any, *, only: Iterable[Path] | None = None, apart: Iterable[str] = (), **facts: Any
) -> None:
    """Write `sealed.json` into a folder that is finished, in place of an older one.

    owner: what `check` asks for: a plain JSON value. only: these files of the folder, and what else lies there does not
    count; all if not given. apart: names of files that may change or go, such as the time that the work took.
    """
    chosen = _files(folder) if only is None else {f.relative_to(folder).as_posix(): f for f in only}
    kept = {name: f for name, f in sorted(chosen.items()) if f.name not in set(apart)}
    files = {name: {"bytes": f.stat().st_size, "sha256": digest(f)} for name, f in kept.items()}
    content = {"owner": owner, "facts": facts, "apart": sorted(apart), "all": only is None, "files": files}
    write_text(_spelled(content), folder / FILE)


def sealed(folder: Path) -> dict[str, Any] | None:
    """What the seal of a folder says, {owner, facts, apart, all, files}; None where there is none. Damaged where the seal
    itself is. The files are not looked at: see `check`."""
    file = folder / FILE
    try:
        text = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Damaged(
            f"{file}: cannot be read ({error.strerror or told(error)}); delete {folder} and run again"
        ) from None
    try:
        content = json.loads(text)
        content.pop("checksum")
        same = _spelled(content).encode() == text
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        same, content = False, {}
    if not same:
        raise Damaged(f"{file}: damaged (it does not agree with its own checksum); delete {folder} and run again")
    return content


def owner(folder: Path) -> Any:
    """Whose a folder is; None where it is not sealed. Damaged where the seal is."""
    content = sealed(folder)
    return content and content["owner"]


def facts(folder: Path) -> dict[str, Any]:
    """What else the seal of a folder says. Damaged where it has none."""
    return _seal_of(folder)["facts"]


def _seal_of(folder: Path) -> dict[str, Any]:
    content = sealed(folder)
    if content is None:
        raise Damaged(f"{folder / FILE}: missing, so nothing says what is in the folder; delete {folder} and run again")
    return content


def check(folder: Path, owner: Any = None) -> dict[str, Any]:
    """Read every file of a sealed folder and compare -> what its seal says. Damaged, with the first file and what differs:
    another owner (None: any), a file that is missing, has changed or was not there."""
    content = _seal_of(folder)
    if owner is not None and content["owner"] != json.loads(json.dumps(owner)):
        raise Damaged(f"{folder}: of another owner ({told_owner(content['owner'])}, not {told_owner(owner)})")
    there = _files(folder)
    for name, expected in content["files"].items():
        if name not in there:
            raise Damaged(f"{folder / name}: missing, though the folder was sealed with it")
        if there[name].stat().st_size != expected["bytes"]:
            size = there[name].stat().st_size
            raise Damaged(f"{folder / name}: damaged ({size} bytes, not the {expected['bytes']} that were written)")
        if digest(there[name]) != expected["sha256"]:
            raise Damaged(f"{folder / name}: damaged (its bytes are not those that were written)")
    more = [n for n in there if n not in content["files"] and Path(n).name not in content["apart"]]
    if content["all"] and more:
        raise Damaged(f"{folder / more[0]}: was not there when the folder was sealed")
    return content


def told_owner(owner: Any) -> str:
    """An owner in a line: "training 5bdf016fe85dbbad"."""
    if isinstance(owner, Mapping):
        return ", ".join(f"{k} {v}" for k, v in sorted(owner.items()))
    return str(owner)
