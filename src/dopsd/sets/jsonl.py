"""Image-text sets in the release's JSONL format: one line an image, with its captions; checked before anything runs.

    {"class_name": "corgi", "local_path_list": ["target_images/00.jpg"], "h*w": "1024*1024", "short_en": "[V] outdoors", ...}

Captions are the fields short, medium, detailed and user_prompt, each with _en or _zh. In the editing task, input_path_list
holds the pictures that the image is made from. background (white if not given): the colour under what is transparent.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from dopsd.sets.items import MULTIPLE, Item, by_name
from dopsd.support.errors import UserError
from dopsd.support.opener import colour
from dopsd.support.text import json_lines

LEVELS, TONGUES = ("short", "medium", "detailed", "user_prompt"), ("en", "zh")
CAPTIONS = tuple(f"{level}_{tongue}" for tongue in TONGUES for level in LEVELS)
SIZE = re.compile(r"(\d{1,6})\*(\d{1,6})", re.ASCII)
LONGEST = 4096  # characters of a path


def read_set(manifest: Path) -> list[Item]:
    """Every image of a set, checked: UserError naming file, line, field and remedy on the first fault."""
    if not manifest.exists():
        raise UserError(
            f"{manifest}: missing; run the stage `fetch`, or write one line of JSON for each image (README)"
        )
    items: list[Item] = []
    first: dict[Path, int] = {}
    for number, row in json_lines(manifest):
        where = f"{manifest}:{number}"
        for item in _items(manifest, where, row):
            if item.file in first:
                raise UserError(
                    f"{where}: local_path_list: {item.file.name!r} stands in line {first[item.file]} already; take one out"
                )
            first[item.file] = number
            items.append(item)
    if not items:
        raise UserError(f"{manifest}: no images; write one line of JSON for each")
    if any(i.inputs for i in items):  # each row of prompts must find the inputs of its own picture
        by_name(items)
    return items


def _items(manifest: Path, where: str, row: dict[str, Any]) -> list[Item]:
    captions = {k: v for k, v in row.items() if k in CAPTIONS}
    if not captions:
        raise UserError(f"{where}: no caption; give at least one of short_en, medium_en, detailed_en, user_prompt_en")
    for name, text in captions.items():
        if not isinstance(text, str) or not text.strip():
            raise UserError(f"{where}: {name}: {text!r} is no caption; write a text or take the field out")
    size = SIZE.fullmatch(str(row.get("h*w", "")))
    if not size or any(int(n) == 0 or int(n) % MULTIPLE for n in size.groups()):
        wanted = f'give height*width in pixels, multiples of {MULTIPLE}, e.g. "1024*1024"'
        raise UserError(f"{where}: h*w: {row.get('h*w')!r} is no size; {wanted}")
    class_name = row.get("class_name")
    if not isinstance(class_name, str) or not class_name.strip():
        raise UserError(f'{where}: class_name: {class_name!r}; give the noun that "[V]" stands for')
    files = row.get("local_path_list")
    if not isinstance(files, list) or not files or not all(isinstance(f, str) and f for f in files):
        raise UserError(f"{where}: local_path_list: {files!r}; give a list with the image's path")
    inputs = row.get("input_path_list", [])
    if not isinstance(inputs, list) or not all(isinstance(f, str) and f for f in inputs):
        raise UserError(f"{where}: input_path_list: {inputs!r}; give a list of the paths of the pictures to be edited")
    background = row.get("background", "white")
    try:
        colour(str(background))
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    height, width = map(int, size.groups())
    seen = tuple(contained(manifest, f"{where}: input_path_list", f) for f in inputs)
    there = [contained(manifest, f"{where}: local_path_list", f) for f in files]
    return [Item(f, (height, width), captions, class_name, seen, background) for f in there]


def contained(manifest: Path, where: str, path: str) -> Path:
    """The image's file inside the manifest's folder; `where` stands before an error. The release writes paths from its own
    root (dataset/corgi/target_images/00.jpg): leading folders are dropped until the file is found. Windows' separators are
    read, too."""
    if len(path) > LONGEST or "\0" in path:
        raise UserError(f"{where}: {path[:60]!r}... is no path; put the image under {manifest.parent}")
    folder = manifest.parent.resolve()
    for parts in dict.fromkeys((Path(path).parts, Path(path.replace("\\", "/")).parts)):
        for start in range(len(parts)):
            try:
                file = (folder / Path(*parts[start:])).resolve()
                there = file.is_file()
            except OSError:  # a name too long, a loop of links
                continue
            if not file.is_relative_to(folder):
                raise UserError(f"{where}: {path!r} leads out of {manifest.parent}; keep images inside it")
            if there:
                return file
    raise UserError(f"{where}: {path!r} is not there; put the image under {manifest.parent}")
