"""One picture of an image-text set: its file, its size, its captions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image

from dopsd.support import sealed
from dopsd.support.errors import UserError
from dopsd.support.opener import opened
from dopsd.support.text import regular

MULTIPLE = 16  # pixels; what the autoencoders and patches of all backbones divide
STRIP = 4  # times the kept area: what is cropped from more is cropped before it is resized


@dataclass(frozen=True)
class Item:
    """One picture: its file, the size it is trained at (height, width), its captions by name, and, in the editing task, the
    files of the pictures that it is made from. background: the colour under what is transparent."""

    file: Path
    size: tuple[int, int]
    captions: dict[str, str]
    class_name: str
    inputs: tuple[Path, ...] = ()
    background: str = "white"

    @cached_property
    def name(self) -> str:
        """Which picture this is, by its content: its file's name @ eight digits of what is in it."""
        return f"{self.file.name}@{digest(self.file)[:8]}"

    def image(self) -> Image.Image:
        """The picture, cropped around its centre to the size's shape and resized to it; UserError if it is broken."""
        return fitted(opened(self.file, self.background), *self.size)

    def references(self) -> list[Image.Image]:
        """The editing task's input pictures, each at the area of `size` in its own shape."""
        out = []
        for file in self.inputs:
            image = opened(file, self.background)
            scale = math.sqrt(math.prod(self.size) / (image.height * image.width))
            height, width = (max(MULTIPLE, round(n * scale / MULTIPLE) * MULTIPLE) for n in (image.height, image.width))
            out.append(fitted(image, height, width))
        return out


def by_name(items: Sequence[Item]) -> dict[str, Item]:
    """Items by `Item.name`, and by the bare name of their file where only one has it (prompts that a person wrote).

    UserError where two have one name and one content, and are not the same."""
    once = Counter(i.file.name for i in items)
    out = {i.file.name: i for i in items if once[i.file.name] == 1}
    for item in items:
        if out.setdefault(item.name, item) != item:
            raise UserError(f"{item.file}: the same name and content as {out[item.name].file}; take one out of the set")
    return out


def digest(file: Path) -> str:
    """What is in a file, in sixteen hex digits; UserError where it is none."""
    return sealed.digest(regular(file))[:16]


def fitted(image: Image.Image, height: int, width: int) -> Image.Image:
    """Cropped around the centre to the shape of height x width and resized to it. Of a picture of quite another shape only
    what is kept is resized (the same up to rounding): the work does not grow with what is cut off."""
    tall, wide = _covering(image.height, image.width, height, width)
    left, top = (wide - width) // 2, (tall - height) // 2
    if tall * wide > STRIP * height * width:
        x, y = image.width / wide, image.height / tall
        box = (left * x, top * y, min((left + width) * x, image.width), min((top + height) * y, image.height))
        return image.resize((width, height), Image.Resampling.LANCZOS, box)
    if (wide, tall) != image.size:
        image = image.resize((wide, tall), Image.Resampling.LANCZOS)
    return image.crop((left, top, left + width, top + height))


def lost(height: int, width: int, size: tuple[int, int]) -> float:
    """The share of a picture of height x width pixels that cropping it to the shape of `size` cuts off, in [0, 1)."""
    tall, wide = _covering(height, width, *size)
    return 1 - size[0] * size[1] / (tall * wide)


def _covering(height: int, width: int, to_height: int, to_width: int) -> tuple[int, int]:
    """The size of a picture of height x width once it just covers the other."""
    scale = max(to_height / height, to_width / width)
    return max(to_height, round(height * scale)), max(to_width, round(width * scale))
