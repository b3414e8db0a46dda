"""The concepts' image-text sets of a study, from its world, a person's folder or the hub, all in one format."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dopsd.config.study import Fetch
from dopsd.sets import folder as own
from dopsd.sets import hub
from dopsd.sets.captions import with_captions
from dopsd.sets.items import Item
from dopsd.sets.write import write_set
from dopsd.support.errors import UserError, nearest
from dopsd.world.concepts import write_concept_set
from dopsd.world.outside import OUTSIDE


def known(concept: str, settings: Fetch, file: str = "params.yaml") -> None:
    """UserError where nothing says where the pictures of a concept come from."""
    if not (concept in settings.folders or concept in settings.hub or concept in OUTSIDE):
        raise UserError(
            f"{file}: grid.concepts: {concept!r} is in neither fetch.folders nor fetch.hub, and is none of the miniature's "
            f"world{nearest(concept, OUTSIDE)}; say where its pictures are"
        )


def write_concept(concept: str, settings: Fetch, folder: Path, one_shape: bool = False) -> None:
    """Write the set of a concept to a folder (see `sets.jsonl`); UserError where nothing says where it comes from.

    one_shape: all pictures of a set get the shape that most of them have (`grid.of_one_shape`); the world's have one."""
    known(concept, settings)
    if found := settings.folders.get(concept):
        _write(own.read_pictures(Path(found.images), found.name, settings.size), folder, one_shape)
    elif found := settings.hub.get(concept):
        source = hub.chosen(found.set, found.subject)
        with tempfile.TemporaryDirectory() as parent:
            pictures = Path(parent) / "pictures"
            hub.save(source, pictures, found.pictures)
            name = source.class_name or found.set
            _write(own.read_pictures(pictures, name, settings.size), folder, one_shape)
    else:
        write_concept_set(concept, folder, settings.images, settings.seed)


def _write(pictures: own.Pictures, folder: Path, one_shape: bool) -> None:
    """Say what is taken and what is left out, then write it."""
    items, said = pictures.items, pictures.said()
    if one_shape and len({item.size for item in items}) > 1:
        items = in_one_shape(items)
        height, width = items[0].size
        said.append(f"all at {width} x {height}, which most have: a method draws pictures of the class beside them")
    print("\n".join(f"{pictures.folder}: {line}" for line in said))
    write_set(with_captions(items), folder)


def in_one_shape(items: Sequence[Item]) -> list[Item]:
    """The pictures at the size that most of them have; of sizes that equally many have, the first one's."""
    ((size, _),) = Counter(item.size for item in items).most_common(1)
    return [replace(item, size=size) for item in items]
