"""A person's own pictures: a folder of images with captions in any of the usual forms.

The release's JSONL (data.jsonl, see `concepts`), metadata.jsonl with file_name and text, a .txt of the image's name beside
each image (a line a caption), or no captions at all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from dopsd.sets.items import MULTIPLE, Item, opened
from dopsd.sets.jsonl import contained, read_set
from dopsd.support.errors import UserError

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
TEXT_FIELDS = ("text", "caption", "prompt")
SHAPES = 11  # aspect buckets, from 1 : 2 to 2 : 1, as many as the release has
NAMELESS = ("[V]", "a picture of [V]")  # what is said of a picture without captions: the method needs no more


def buckets(side: int) -> list[tuple[int, int]]:
    """The (height, width) that pictures are trained at: eleven shapes of about side x side pixels, multiples of 16."""

    def length(x: float) -> int:
        return max(MULTIPLE, round(x / MULTIPLE) * MULTIPLE)

    half = SHAPES // 2
    ratios = [2 ** (k / half) for k in range(-half, half + 1)]
    return [(length(side * math.sqrt(r)), length(side / math.sqrt(r))) for r in ratios]


def bucket(height: int, width: int, side: int) -> tuple[int, int]:
    """The bucket that crops a picture of this size least: the nearest in the logarithm of height / width."""
    return min(buckets(side), key=lambda b: abs(math.log(b[0] / b[1]) - math.log(height / width)))


def read_pictures(folder: Path, name: str, side: int | None) -> list[Item]:
    """Every picture of a folder, with the captions that are there (maybe none), at the size that it is trained at.

    name: what "[V]" is, such as "corgi". side: pixels of a square picture; other shapes get a bucket of the same area.
    None: as the release's JSONL says. UserError names the file, the line and the remedy.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: not a folder; name the one that holds the pictures")
    if (folder / "data.jsonl").exists():
        items = read_set(folder / "data.jsonl")
        return [replace(i, size=bucket(*i.size, side)) for i in items] if side else items
    if side is None:
        raise UserError(f"{folder}: no data.jsonl, so --size must say how many pixels a side to train at, e.g. 1024")
    if (folder / "metadata.jsonl").exists():
        captions = _metadata(folder / "metadata.jsonl")
    else:
        files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in SUFFIXES)
        captions = {f: _beside(f) for f in files}
    if not captions:
        raise UserError(f"{folder}: no pictures; put {', '.join(sorted(SUFFIXES))} files there")
    return [_item(file, texts, name, side) for file, texts in captions.items()]


def _item(file: Path, texts: list[str], name: str, side: int) -> Item:
    image = opened(file)
    size = bucket(image.height, image.width, side)
    return Item(file, size, {f"caption_{i}": t for i, t in enumerate(texts)}, name)


def _beside(image: Path) -> list[str]:
    """The lines of the .txt of the image's name, if there is one."""
    file = image.with_suffix(".txt")
    if not file.exists():
        return []
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not UTF-8 text ({error.reason}); save it as UTF-8") from None
    if not lines:
        raise UserError(f"{file}: empty; write a caption a line, or delete the file")
    return lines


def _metadata(file: Path) -> dict[Path, list[str]]:
    """The pictures and texts of a metadata.jsonl, the form that `datasets` reads and writes for image folders."""
    captions: dict[Path, list[str]] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        where = f"{file}:{number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{where}: not JSON ({error}); every line must be one JSON object") from None
        if not isinstance(row, dict) or not isinstance(row.get("file_name"), str):
            raise UserError(f"{where}: file_name: missing; give the image's path inside the folder")
        text = next((row[f] for f in TEXT_FIELDS if f in row), None)
        texts = [text] if isinstance(text, str) else text or []
        if not isinstance(texts, list) or not all(isinstance(t, str) and t.strip() for t in texts):
            raise UserError(f'{where}: {text!r} is no caption; give a text (or a list of texts) as "text"')
        captions.setdefault(contained(file, f"{where}: file_name", row["file_name"]), []).extend(texts)
    return captions


def with_captions(items: list[Item], write: Callable[[Item], str] | None = None) -> list[Item]:
    """Items with captions for every picture. Where there are none: what `write` says of the picture, or `NAMELESS`."""

    def texts(item: Item) -> dict[str, str]:
        if item.captions:
            return item.captions
        if write:
            return {"caption_0": write(item)}
        return {f"caption_{i}": t for i, t in enumerate(NAMELESS)}

    return [replace(item, captions=texts(item)) for item in items]


def kept(open_writer: Callable[[], Callable[[Item], str]], file: Path) -> Callable[[Item], str]:
    """Written captions kept in a file by the picture's name, so that a training that goes on, and every process of it, has
    the same ones. open_writer: called only where a caption is missing."""
    captions = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    opened_writer = cache(open_writer)

    def write(item: Item) -> str:
        if item.file.name not in captions:
            captions[item.file.name] = opened_writer()(item)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(captions, ensure_ascii=False, indent=1), encoding="utf-8")
        return captions[item.file.name]

    return write
