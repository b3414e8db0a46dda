"""Image sets from the Hugging Face hub, by `datasets`, as a folder of pictures that `dopsd tune` reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml
from PIL import Image

from dopsd.config.sets import ImageSet, Sets
from dopsd.sets.captions import with_placeholder
from dopsd.sets.write import new_folder
from dopsd.support import paths
from dopsd.support.errors import UserError
from dopsd.support.opener import opened

if TYPE_CHECKING:
    from datasets import Dataset


def known() -> dict[str, ImageSet]:
    """The sets that come with the package, by name."""
    text = (resources.files("dopsd") / "sets" / "hub.yaml").read_text(encoding="utf-8")
    return Sets.model_validate(yaml.safe_load(text)).sets


def chosen(name: str, subject: str | None) -> ImageSet:
    """A known set, with its subject where it has several; UserError where either is missing."""
    sets = known()
    if name not in sets:
        raise UserError(f"no set {name!r}; known: {', '.join(sets)}")
    found = sets[name]
    if found.configuration is None and subject is None:
        raise UserError(f"the set {name} holds several subjects; choose one with --subject, e.g. --subject dog")
    if found.configuration is not None and subject is not None:
        raise UserError(f"the set {name} has no subjects; leave --subject out")
    if subject is None:
        return found
    noun = re.sub(r"\d+$", "", subject).replace("_", " ").strip()
    return found.model_copy(update={"configuration": subject, "class_name": found.class_name or noun})


def rows(source: ImageSet) -> Dataset:
    """The set as `datasets` opens it; UserError where it cannot, or has not the columns."""
    from datasets import Image as Pictures
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    try:
        data: Any = load_dataset(source.path, source.configuration, split=source.split, revision=source.revision)
    except (OSError, ValueError, DatasetsError) as error:
        raise UserError(
            f"{source.path}: cannot open the set ({' '.join(str(error).split())[:200]}); look at its page for its "
            "configurations, or give the photos as a folder"
        ) from None
    for column in filter(None, (source.image, source.caption)):
        if column not in data.column_names:
            raise UserError(f"{source.path}: no column {column!r}; it has {', '.join(data.column_names)}")
    if not isinstance(data.features[source.image], Pictures):
        raise UserError(f"{source.path}: column {source.image!r} holds no pictures; name another one as `image`")
    return data.cast_column(source.image, Pictures(decode=False))  # decoded by our own opener


def save(source: ImageSet, out: Path, pictures: int | None = None) -> int:
    """Write the first `pictures` (None: all) as PNG files with metadata.jsonl and SOURCE.md to `out` -> their number.

    UserError where `out` holds something (nothing is overwritten) or lies among the pipeline's own sets, and where a picture
    cannot be read.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{out} exists; choose another --out, or move it away")
    if out.resolve().is_relative_to(paths.CONCEPTS.resolve()):
        raise UserError(f"{out}: `dvc repro` writes its own sets under {paths.CONCEPTS}; choose another --out")
    data = rows(source)
    data = data.select(range(min(pictures or len(data), len(data))))
    lines = []
    with new_folder(out) as folder:
        for i, row in enumerate(cast(Iterable[dict[str, Any]], data)):
            file = f"{i:03d}.png"
            _picture(row[source.image], folder / f"{i:03d}.tmp", f"{source.path}: row {i}").save(folder / file)
            line = {"file_name": file}
            if source.caption and row[source.caption]:
                text = str(row[source.caption])
                line["text"] = with_placeholder(text, source.trigger) if source.trigger else text
            lines.append(json.dumps(line, ensure_ascii=False) + "\n")
        (folder / "metadata.jsonl").write_text("".join(lines), encoding="utf-8")
        at = f" at {source.revision}" if source.revision else ""
        what = f"{source.path}{at}, {source.configuration}, {source.split}"
        (folder / "SOURCE.md").write_text(
            f"{len(lines)} pictures of {what} (Hugging Face hub).\n\nLicence: {source.licence}.\n", encoding="utf-8"
        )
    return len(lines)


def _picture(given: dict[str, Any] | None, temporary: Path, where: str) -> Image.Image:
    """A picture as the hub has it, opened as every picture is."""
    if not given or not (given.get("bytes") or given.get("path")):
        raise UserError(f"{where}: no picture; choose fewer with --pictures, or another set")
    if not given.get("bytes"):
        return opened(Path(given["path"]))
    temporary.write_bytes(given["bytes"])
    image = opened(temporary)
    temporary.unlink()
    return image
