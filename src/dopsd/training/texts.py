"""Captions and prompts against what a model reads: what is cut is said, and student and teacher read one text."""

from __future__ import annotations

from collections.abc import Sequence

from dopsd.backbones.base import Backbone, Reading
from dopsd.sets.items import Item
from dopsd.support.errors import UserError

SHOWN = 20  # lines; of more it is said how many there are


def cut(backbone: Backbone, prompts: Sequence[str]) -> list[str]:
    """A line for each prompt that is longer than what the model reads: how many tokens it has, and where the reading ends."""
    readings = ((p, backbone.reads(p)) for p in dict.fromkeys(prompts))
    return _few([f"prompt {_short(p)!r}: {_said(r)}" for p, r in readings if r.tokens > r.limit])


def check(backbone: Backbone, items: Sequence[Item], seen: bool) -> list[str]:
    """As `cut`, of a set's captions. seen: a teacher reads them beside the picture; UserError then where it would read
    another part of a caption than the student does, or refuse to."""
    lines = []
    for item in items:
        for name, text in item.captions.items():
            mine, where = backbone.reads(text), f"{item.file.name}: {name}"
            if mine.tokens > mine.limit:
                lines.append(f"{where}: {_said(mine)}")
            if seen:
                lines += _compared(backbone, item, text, mine, f"{item.file}: {name}", where)
    return _few(lines)


def _compared(backbone: Backbone, item: Item, text: str, mine: Reading, path: str, where: str) -> list[str]:
    try:
        theirs = backbone.teacher_reads(text, item.size, bool(item.inputs))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    if theirs.kept != mine.kept:
        who = {"the student": mine.kept, "the teacher": theirs.kept}
        said = ", ".join(f"{w} {'all of it' if k == text else _until(k)}" for w, k in who.items())
        raise UserError(
            f"{path}: {mine.tokens} tokens, and student and teacher would read different texts ({said}); shorten the "
            f"caption, or raise backbone.student_tokens ({mine.limit})"
        )
    if theirs.tokens > theirs.limit:
        return [f"{where}: the teacher is told {theirs.tokens} tokens and reads {theirs.limit}: its instruction is cut"]
    return []


def _said(reading: Reading) -> str:
    return f"{reading.tokens} tokens, of which {reading.limit} are read: {_until(reading.kept)}"


def _until(kept: str) -> str:
    return f"up to {'...' * (len(kept) > 20)}{kept[-20:]!r}" if kept else "nothing"


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}..."


def _few(lines: list[str]) -> list[str]:
    more = len(lines) - SHOWN
    return lines[:SHOWN] + ([f"and {more} more that are cut"] if more > 0 else [])
