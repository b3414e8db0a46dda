"""The file `sets/hub.yaml`: image sets on the Hugging Face hub that are known to be of use, with their licences."""

from __future__ import annotations

from pydantic import Field

from dopsd.config.section import Section


class ImageSet(Section):
    """A set: where it is, which columns hold pictures and captions, and what may be done with it.

    configuration: of the repository, the subject of google/dreambooth say; null where it is to be chosen. trigger: the word
    that names the concept in its captions, replaced by "[V]".
    """

    path: str
    revision: str | None
    configuration: str | None
    split: str
    image: str
    caption: str | None
    trigger: str | None
    class_name: str | None
    licence: str = Field(min_length=1)


class Sets(Section):
    """All of the file."""

    sets: dict[str, ImageSet]
