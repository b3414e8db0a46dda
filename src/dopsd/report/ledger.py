"""When each claim's bar was committed, and what of the claim was changed since: from the git history of claims.yaml."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dopsd.config.claims import FILE
from dopsd.config.yaml import mapping
from dopsd.support.errors import UserError
from dopsd.support.text import read_text

NO_HISTORY = "not known: no git history"
CUT_OFF = "not known: the git history is cut off"  # a shallow clone
NOT_COMMITTED = "not committed"
Entry = dict[str, Any]  # a claim, as the file has it


class Version(NamedTuple):
    """The file as a commit left it."""

    commit: str
    date: str
    claims: dict[str, Entry]


class Committed(NamedTuple):
    """Of a claim: the commit that brought its present bar and that commit's date ("" where there is none, and in commit why),
    and the later commits that changed it: {"commit", "date", "fields"} each, the first one first."""

    commit: str
    date: str
    changes: list[dict]


def _git(folder: Path, *command: str) -> str | None:
    """What git says in a folder; None where there is no git, or where it says that something is wrong."""
    try:
        done = subprocess.run(
            ["git", "-c", "core.quotePath=off", *command], cwd=folder, capture_output=True, text=True, encoding="utf-8"
        )
    except (OSError, UnicodeDecodeError):
        return None
    return done.stdout if done.returncode == 0 else None


def _claims(text: str, where: str) -> dict[str, Entry]:
    """{id: entry} of a file of any age; {} where it is none."""
    try:
        listed = mapping(text, where).get("claims")
    except UserError:
        return {}
    entries = listed if isinstance(listed, list) else []
    return {str(e["id"]): e for e in entries if isinstance(e, dict) and "id" in e}


def versions(file: Path) -> list[Version] | None:
    """The file at each commit that changed it, the newest first, through renames; None where no git history is."""
    folder = file.parent.absolute()
    if _git(folder, "rev-parse", "--verify", "HEAD") is None:
        return None
    log = _git(folder, "log", "--follow", "-m", "--name-only", "--format=%x00%H %cI", "--", file.name) or ""
    out: list[Version] = []
    for entry in log.split("\0")[1:]:
        head, *paths = [line for line in entry.splitlines() if line]
        commit, date = head.split(" ")
        text = _git(folder, "show", f"{commit}:{paths[-1]}") if paths else None
        if text is not None and (not out or out[-1].commit != commit):  # a merge is listed once a parent
            out.append(Version(commit, date, _claims(text, f"{file} at {commit}")))
    return out


def committed(ids: Sequence[str], file: Path = FILE) -> dict[str, Committed]:
    """Of each claim of the file as it is now, when its bar was committed: "not committed" where the last commit holds another
    entry or none, "not known" where there is no git history, or where a shallow clone cuts it off. Never raises for git."""
    file = file.resolve()  # a study may ask what another one asks, by a link to its file
    known = versions(file)
    if known is None:
        return {i: Committed(NO_HISTORY, "", []) for i in ids}
    present = _claims(read_text(file), str(file)) if os.path.lexists(file) else {}
    shallow = (_git(file.parent.absolute(), "rev-parse", "--is-shallow-repository") or "").strip() == "true"
    return {i: _of(present.get(i), [(v, v.claims.get(i)) for v in known], shallow) for i in ids}


def _bar(entry: Entry | None) -> tuple | None:
    """A claim's bar with its direction."""
    return None if entry is None else (entry.get("bar"), entry.get("at_most", False))


def _of(present: Entry | None, history: Sequence[tuple[Version, Entry | None]], shallow: bool) -> Committed:
    """history: the claim's entry in each version, the newest first."""
    if present is None or not history or history[0][1] != present:
        return Committed(NOT_COMMITTED, "", [])
    same = next((k for k, (_, entry) in enumerate(history) if _bar(entry) != _bar(present)), len(history))
    if shallow and same == len(history):
        return Committed(CUT_OFF, "", [])
    since, changes = list(reversed(history[:same])), []
    for (_, before), (version, after) in zip(since, since[1:], strict=False):
        before, after = before or {}, after or {}
        fields = [f for f in dict.fromkeys([*after, *before]) if before.get(f) != after.get(f)]
        if fields:
            changes.append({"commit": version.commit, "date": version.date, "fields": fields})
    first = since[0][0]
    return Committed(first.commit, first.date, changes)
