"""An image-text set written in the release's JSONL format, with its pictures, so that every source is read in one way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from dopsd.sets.items import Item
from dopsd.support.errors import UserError

CAPTIONS = tuple(
    f"{level}_{tongue}" for tongue in ("en", "zh") for level in ("short", "medium", "detailed", "user_prompt")
)


def write_set(items: Sequence[Item], folder: Path) -> None:
    """Copy the pictures of items to `folder` and write data.jsonl beside them; the folder appears whole or not at all.

    Captions of other names get the format's, in their order. UserError where a picture has more than the format holds.
    """
    temporary = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    lines = []
    for i, item in enumerate(items):
        inputs = [_copied(f, temporary, f"input_images/{i:03d}-{k}{f.suffix}") for k, f in enumerate(item.inputs)]
        row = {
            "class_name": item.class_name,
            "local_path_list": [_copied(item.file, temporary, f"target_images/{i:03d}-{item.file.name}")],
            "h*w": f"{item.size[0]}*{item.size[1]}",
            **({"input_path_list": inputs} if inputs else {}),
            **_named(item),
        }
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    (temporary / "data.jsonl").write_text("".join(lines), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    temporary.replace(folder)


def _named(item: Item) -> dict[str, str]:
    if set(item.captions) <= set(CAPTIONS):
        return item.captions
    if len(item.captions) > len(CAPTIONS):
        raise UserError(
            f"{item.file}: {len(item.captions)} captions; the sets hold {len(CAPTIONS)} at most, leave some out"
        )
    return dict(zip(CAPTIONS, item.captions.values(), strict=False))


def _copied(file: Path, folder: Path, name: str) -> str:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, folder / name)
    return name
