"""An image-text set written in the release's JSONL format, with its pictures, so that every source is read in one way."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dopsd.sets.items import Item
from dopsd.sets.jsonl import CAPTIONS
from dopsd.support.errors import UserError

LONGEST = 255  # bytes of a file's name


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to write to, which takes the place of `folder` once all is written; it is removed where something fails."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    parent = Path(tempfile.mkdtemp(prefix=f".{folder.name[:50]}-", dir=folder.parent))
    temporary = parent / "new"  # with the rights of any new folder: mkdtemp's own is for its owner only
    temporary.mkdir()
    try:
        yield temporary
        if folder.exists():
            shutil.rmtree(folder)
        temporary.replace(folder)
    finally:
        shutil.rmtree(parent, ignore_errors=True)


def write_set(items: Sequence[Item], folder: Path) -> None:
    """Copy the pictures of items to `folder` and write data.jsonl beside them; the folder appears whole or not at all.

    Captions of other names get the format's, in their order. UserError where a picture has more than the format holds.
    """
    with new_folder(folder) as temporary:
        lines = []
        for i, item in enumerate(items):
            inputs = [_copied(f, temporary, f"input_images/{i:03d}-{k}{f.suffix}") for k, f in enumerate(item.inputs)]
            name = f"{i:03d}-{item.file.name}"
            if len(name.encode()) > LONGEST:
                name = f"{i:03d}{item.file.suffix}"
            row = {
                "class_name": item.class_name,
                "local_path_list": [_copied(item.file, temporary, f"target_images/{name}")],
                "h*w": f"{item.size[0]}*{item.size[1]}",
                **({"input_path_list": inputs} if inputs else {}),
                **({"background": item.background} if item.background != "white" else {}),
                **_named(item),
            }
            lines.append(json.dumps(row, ensure_ascii=False) + "\n")
        (temporary / "data.jsonl").write_text("".join(lines), encoding="utf-8")


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
