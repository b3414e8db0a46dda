"""Captions of pictures: from files of every habit, from a writer (a VLM), and whatever word names the concept in them."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from dopsd.sets.items import Item
from dopsd.sets.jsonl import contained
from dopsd.sets.listing import TEXTS, Left
from dopsd.support.errors import UserError, nearest, told
from dopsd.support.text import json_lines, json_object, read_lines, read_text

PLACEHOLDER = "[V]"
NAMELESS = (PLACEHOLDER, f"a picture of {PLACEHOLDER}")  # of a picture without captions: the method needs no more
TEXT_FIELDS = ("text", "caption", "prompt")  # of metadata, the first that is there
Captions = dict[Path, list[str]]


def beside(pictures: Sequence[Path], texts: Sequence[Path]) -> tuple[Captions, Left]:
    """The lines of the text files beside pictures: of a.jpg the first there is of a.txt, a.jpg.txt, a.caption and
    a.jpg.caption, a caption a line -> (captions, the texts that are not taken). UserError where one is empty."""
    real = cache(Path.resolve)  # a manifest's pictures have real paths
    by_place = {(real(file.parent), file.stem, file.suffix.lower()): file for file in texts}
    captions: Captions = {}
    left = dict.fromkeys(texts, "a caption without a picture: none of this name is taken")
    for picture in pictures:
        places = [(real(picture.parent), name, suffix) for suffix in TEXTS for name in (picture.stem, picture.name)]
        first, *others = [by_place[place] for place in places if place in by_place] or [None]
        captions[picture] = _lines(first) if first else []
        if first:
            left.pop(first, None)
        for other in others:
            if other and other in left:
                same = _lines(other) == captions[picture]
                left[other] = f"{first.name if first else ''} {'says the same' if same else 'is taken instead'}"
    return captions, list(left.items())


def _lines(file: Path) -> list[str]:
    lines = [text for _, text in read_lines(file)]
    if not lines:
        raise UserError(f"{file}: empty; write a caption a line, or delete the file")
    return lines


def metadata(file: Path) -> tuple[Captions, list[str]]:
    """The pictures and texts of a metadata.jsonl or metadata.csv, the forms that `datasets` reads for folders of pictures ->
    (captions, what is to be said of them). UserError names file, line and field."""
    captions: Captions = {}
    first: dict[Path, str] = {}
    unread: dict[str, str] = {}
    for where, row in _rows(file):
        if not isinstance(row.get("file_name"), str) or not row["file_name"].strip():
            raise UserError(
                f"{where}: file_name: {'not a text' if 'file_name' in row else 'missing'}; give the picture's path inside "
                f"the folder{nearest('file_name', row) if 'file_name' not in row else ''}"
            )
        picture = contained(file, f"{where}: file_name", row["file_name"])
        if picture in first:
            raise UserError(
                f"{where}: file_name: {row['file_name']!r} stands in line {first[picture]} already; give all its captions "
                "there, as a list"
            )
        first[picture] = where.rpartition(":")[2]
        fields = [f for f in TEXT_FIELDS if f in row]
        captions[picture] = _texts(where, fields[0], row[fields[0]]) if fields else []
        unread |= dict.fromkeys(fields[1:], fields[0] if fields else "")
    return captions, [f"{file.name}: {other!r} is not read: {taken!r} is there" for other, taken in unread.items()]


def _texts(where: str, field: str, text: Any) -> list[str]:
    texts = [text] if isinstance(text, str) else [] if text is None else text
    if not isinstance(texts, list) or not all(isinstance(t, str) and t.strip() for t in texts):
        raise UserError(
            f"{where}: {field}: {text!r} is no caption; give a text or a list of texts, or leave the field out"
        )
    return [t.strip() for t in texts]


def _rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """file:line and the fields of each row."""
    if file.suffix != ".csv":
        yield from ((f"{file}:{number}", row) for number, row in json_lines(file))
        return
    reader = csv.reader(io.StringIO(read_text(file), newline=""), strict=True)
    try:
        columns = [c.strip() for c in next(reader, [])]
        if "file_name" not in columns or len(set(columns)) < len(columns):
            what = "a column stands twice" if "file_name" in columns else "no column file_name"
            raise UserError(
                f"{file}:1: {what}; it has {', '.join(columns)}; write file_name,text there, separated by commas"
            )
        for row in reader:
            if not row:
                continue
            where = f"{file}:{reader.line_num}"
            if len(row) != len(columns):
                raise UserError(f"{where}: {len(row)} fields, not {len(columns)}; put a text with commas into quotes")
            yield where, {c: (value if value.strip() else None) for c, value in zip(columns, row, strict=True)}
    except csv.Error as error:
        raise UserError(f"{file}:{reader.line_num}: not CSV ({told(error)}); mend it") from None


def renamed(items: Sequence[Item], trigger: str) -> list[Item]:
    """Items whose captions say "[V]" where they said the trigger word. UserError where no caption says it."""
    if not trigger.strip():
        raise UserError("--trigger: empty; give the word that names the concept in the captions")
    new = [replace(i, captions={k: with_placeholder(t, trigger) for k, t in i.captions.items()}) for i in items]
    if all(a.captions == b.captions for a, b in zip(new, items, strict=True)) and trigger.strip() != PLACEHOLDER:
        raise UserError(f"--trigger {trigger!r}: no caption names it; check how it is written there, or leave it out")
    return new


def with_placeholder(text: str, trigger: str) -> str:
    """A caption with "[V]" for a trigger word: the whole word (not in "skspace"), in upper or lower case. Scripts without
    spaces have no whole words: there it is found anywhere."""
    word = trigger.strip()
    before, after = (r"(?<!\w)" if _spaced(word[0]) else "", r"(?!\w)" if _spaced(word[-1]) else "")
    return re.sub(before + re.escape(word) + after, lambda _: PLACEHOLDER, text, flags=re.IGNORECASE)


def _spaced(letter: str) -> bool:
    return letter.isalnum() and ord(letter) < 0x0E00  # Thai, Chinese, Japanese, Korean and the like come after


def with_captions(items: Sequence[Item], write: Callable[[Item], str] | None = None) -> list[Item]:
    """Items with captions for every picture. Where there are none: what `write` says of the picture, or `NAMELESS`."""

    def texts(item: Item) -> dict[str, str]:
        if item.captions:
            return item.captions
        if write:
            return {"caption_0": write(item)}
        return {f"caption_{i}": t for i, t in enumerate(NAMELESS)}

    return [replace(item, captions=texts(item)) for item in items]


def kept(open_writer: Callable[[], Callable[[Item], str]], file: Path, by: str) -> Callable[[Item], str]:
    """Written captions kept in a file, {writer: {`Item.name`: caption}}, so that a training that goes on, and every process
    of it, has the same ones, and no other picture or writer gets them. by: the writer's name. open_writer: called only where
    a caption is missing. UserError where the file is of another form."""
    known = _kept_captions(file)
    mine = known.setdefault(by, {})
    opened_writer = cache(open_writer)

    def write(item: Item) -> str:
        if item.name not in mine:
            mine[item.name] = opened_writer()(item)
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary = file.with_name(f"{file.name}.{os.getpid()}.tmp")
            try:
                temporary.write_text(json.dumps(known, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
                temporary.replace(file)
            finally:
                temporary.unlink(missing_ok=True)
        return mine[item.name]

    return write


def _kept_captions(file: Path) -> dict[str, dict[str, str]]:
    if not file.exists():
        return {}
    known = json_object(read_text(file), str(file))
    for writer, captions in known.items():
        if not isinstance(captions, dict):
            raise UserError(f"{file}: {writer!r}: no captions by their writer; move it away: they are written anew")
        for name, text in captions.items():
            if not isinstance(text, str) or not text.strip():
                raise UserError(
                    f"{file}: {writer!r}: {name!r}: {text!r} is no caption; write a text, or take the line out"
                )
    return known
