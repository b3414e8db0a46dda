"""The prompts of a measurement: for each training picture one rewrite of its caption and some new ones, by a VLM.

As the paper's release does (arXiv 2605.05204): a rewrite is compared with its picture, new prompts ask for the concept
elsewhere. They are kept in a file, which may be edited, or written by hand, before a measurement.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dopsd.backbones.vlm import Vlm
from dopsd.sets.items import Item
from dopsd.support.errors import UserError

REWRITE, NEW = "rewrite", "new"
ASK_REWRITE = (
    'A caption of this picture is: "{caption}"\nSay the same in other words, as one line that an image generator could draw '
    "the picture from. Call the main subject [V], as the caption does. Answer with that line only."
)
ASK_NEW = (
    'A caption of this picture is: "{caption}"\nWrite {n} prompts for new pictures of [V] in other places, doing other '
    "things, in other light. One a line, each with [V] in it. Answer with those lines only."
)
MARK = re.compile(r"^\s*(?:[-*•]|\d+[.):])?\s*")


@dataclass(frozen=True)
class Asked:
    """A prompt: the picture that it belongs to (its number in the set, and its file's name, so that a changed set is
    noticed), REWRITE or NEW, and the text, with "[V]"."""

    picture: int
    file: str
    kind: str
    text: str


def lines(said: str, n: int, where: str) -> list[str]:
    """The first n lines of an answer that hold "[V]", without marks and quotes; UserError where there are fewer."""
    out = [MARK.sub("", line).strip().strip('"“”').strip() for line in said.splitlines()]
    out = [line for line in out if "[V]" in line][:n]
    if len(out) < n:
        raise UserError(
            f"{where}: the VLM wrote {len(out)} prompts with [V] instead of {n}: {said[:200]!r}; write prompts.jsonl by "
            "hand, or set measure.writer to null"
        )
    return out


def caption_of(item: Item) -> str:
    """The caption that a rewrite starts from: the shortest one that names "[V]", else the shortest."""
    return min(item.captions.values(), key=lambda text: ("[V]" not in text, len(text)))


def by_vlm(vlm: Vlm, items: Sequence[Item], new: int) -> list[Asked]:
    """One rewrite and `new` new prompts for each picture."""
    out = []
    for i, item in enumerate(items):
        image, caption = item.image(), caption_of(item)
        said = vlm.ask([image], ASK_REWRITE.format(caption=caption))
        out += [Asked(i, item.file.name, REWRITE, text) for text in lines(said, 1, str(item.file))]
        said = vlm.ask([image], ASK_NEW.format(caption=caption, n=new), tokens=80 * new)
        out += [Asked(i, item.file.name, NEW, text) for text in lines(said, new, str(item.file))]
    return out


def without_vlm(items: Sequence[Item], prompts: Sequence[str], new: int) -> list[Asked]:
    """Each picture's own caption in place of a rewrite, and the first `new` of the prompts that name "[V]"."""
    fresh = [p for p in prompts if "[V]" in p][:new]
    if not fresh:
        raise UserError(
            "tune.previews.prompts: none holds [V], so there are no new prompts to measure; write one that does"
        )
    return [
        asked
        for i, item in enumerate(items)
        for asked in (
            Asked(i, item.file.name, REWRITE, caption_of(item)),
            *(Asked(i, item.file.name, NEW, text) for text in fresh),
        )
    ]


def save(asked: Sequence[Asked], file: Path) -> None:
    """A JSON object a line."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(asdict(a), ensure_ascii=False) + "\n" for a in asked), encoding="utf-8")


def read(file: Path, items: Sequence[Item]) -> list[Asked]:
    """What `save` wrote, or a person; UserError names line, field and remedy."""
    out = []
    for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = Asked(**json.loads(line))
        except (json.JSONDecodeError, TypeError):
            raise UserError(
                f'{file}:{number}: give {{"picture": 0, "file": "a.jpg", "kind": "new", "text": "[V] ..."}}'
            ) from None
        if row.kind not in (REWRITE, NEW) or not isinstance(row.text, str) or not row.text.strip():
            raise UserError(f"{file}:{number}: kind must be {REWRITE} or {NEW}, text must not be empty")
        if not isinstance(row.picture, int) or not 0 <= row.picture < len(items):
            raise UserError(f"{file}:{number}: picture: {row.picture!r}; the set has {len(items)}, counted from 0")
        if row.file != items[row.picture].file.name:
            now = items[row.picture].file.name
            raise UserError(
                f"{file}:{number}: picture {row.picture} was {row.file}, now it is {now}; delete the file, and it is written "
                "anew for these pictures"
            )
        out.append(row)
    for kind in (REWRITE, NEW):
        if not any(a.kind == kind for a in out):
            raise UserError(f"{file}: no prompt of kind {kind}; write at least one, or delete the file")
    return out
