"""Image-text sets in the release's JSONL format: one line an image, with its captions; checked before anything runs.

    {"class_name": "corgi", "local_path_list": ["target_images/00.jpg"], "h*w": "1024*1024", "short_en": "[V] outdoors", ...}

Captions are the fields short, medium, detailed and user_prompt, each with _en or _zh. In the editing task, input_path_list
holds the pictures that the image is made from.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from dopsd.sets.items import MULTIPLE, Item
from dopsd.support.errors import UserError

CAPTION = re.compile(r"(short|medium|detailed|user_prompt)_(en|zh)")
SIZE = re.compile(r"(\d+)\*(\d+)")


def read_set(manifest: Path) -> list[Item]:
    """Every image of a set, checked: UserError naming file, line, field and remedy on the first fault."""
    if not manifest.exists():
        raise UserError(
            f"{manifest}: missing; run the stage `fetch`, or write one line of JSON for each image (README)"
        )
    items = []
    try:
        lines = manifest.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{manifest}: not UTF-8 text ({error.reason}); save it as UTF-8") from None
    for number, line in enumerate(lines, 1):
        if line.strip():
            items += _items(manifest, f"{manifest}:{number}", line)
    if not items:
        raise UserError(f"{manifest}: no images; write one line of JSON for each")
    return items


def _items(manifest: Path, where: str, line: str) -> list[Item]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: not JSON ({error}); every line must be one JSON object") from None
    if not isinstance(row, dict):
        raise UserError(f"{where}: a {type(row).__name__}; every line must be one JSON object")
    captions = {k: v for k, v in row.items() if CAPTION.fullmatch(k)}
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
    height, width = map(int, size.groups())
    seen = tuple(contained(manifest, f"{where}: input_path_list", f) for f in inputs)
    return [
        Item(contained(manifest, f"{where}: local_path_list", f), (height, width), captions, class_name, seen)
        for f in files
    ]


def contained(manifest: Path, where: str, path: str) -> Path:
    """The image's file inside the manifest's folder; `where` stands before an error. The release writes paths from its own
    root (dataset/corgi/target_images/00.jpg): leading folders are dropped until the file is found."""
    folder = manifest.parent.resolve()
    parts = Path(path).parts
    for start in range(len(parts)):
        file = (folder / Path(*parts[start:])).resolve()
        if not file.is_relative_to(folder):
            raise UserError(f"{where}: {path!r} leads out of {manifest.parent}; keep images inside it")
        if file.is_file():
            return file
    raise UserError(f"{where}: {path!r} is not there; put the image under {manifest.parent}")
