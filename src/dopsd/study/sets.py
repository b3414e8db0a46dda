"""The concepts' image-text sets of a study, from its world, a person's folder or the hub, all in one format."""

from __future__ import annotations

import tempfile
from pathlib import Path

from dopsd.config.study import Fetch
from dopsd.sets import folder as own
from dopsd.sets import hub
from dopsd.sets.captions import with_captions
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


def write_concept(concept: str, settings: Fetch, folder: Path) -> None:
    """Write the set of a concept to a folder (see `sets.jsonl`); UserError where nothing says where it comes from."""
    known(concept, settings)
    if found := settings.folders.get(concept):
        _write(own.read_pictures(Path(found.images), found.name, settings.size), folder)
    elif found := settings.hub.get(concept):
        source = hub.chosen(found.set, found.subject)
        with tempfile.TemporaryDirectory() as parent:
            pictures = Path(parent) / "pictures"
            hub.save(source, pictures, found.pictures)
            name = source.class_name or found.set
            _write(own.read_pictures(pictures, name, settings.size), folder)
    else:
        write_concept_set(concept, folder, settings.images, settings.seed)


def _write(pictures: own.Pictures, folder: Path) -> None:
    """Say what is taken and what is left out, then write it."""
    print("\n".join(f"{pictures.folder}: {line}" for line in pictures.said()))
    write_set(with_captions(pictures.items), folder)
