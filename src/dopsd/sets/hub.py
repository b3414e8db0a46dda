"""Image sets from the Hugging Face hub, by `datasets`, as a folder of pictures that `dopsd tune` reads."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml

from dopsd.config.sets import ImageSet, Sets
from dopsd.support.errors import UserError

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
    return data


def save(source: ImageSet, out: Path, pictures: int | None = None) -> int:
    """Write the first `pictures` (None: all) as PNG files with metadata.jsonl and SOURCE.md to `out` -> their number.

    UserError where `out` exists: nothing is overwritten.
    """
    if out.exists():
        raise UserError(f"{out} exists; choose another --out, or move it away")
    data = rows(source)
    data = data.select(range(min(pictures or len(data), len(data))))
    temporary = out.with_name(out.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    lines = []
    for i, row in enumerate(cast(Iterable[dict[str, Any]], data)):
        file = f"{i:03d}.png"
        row[source.image].convert("RGB").save(temporary / file)
        line = {"file_name": file}
        if source.caption:
            line["text"] = row[source.caption].replace(source.trigger, "[V]") if source.trigger else row[source.caption]
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    (temporary / "metadata.jsonl").write_text("".join(lines), encoding="utf-8")
    at = f" at {source.revision}" if source.revision else ""
    what = f"{source.path}{at}, {source.configuration}, {source.split}"
    (temporary / "SOURCE.md").write_text(
        f"{len(lines)} pictures of {what} (Hugging Face hub).\n\nLicence: {source.licence}.\n", encoding="utf-8"
    )
    temporary.replace(out)
    return len(lines)
