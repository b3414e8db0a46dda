"""One picture of an image-text set, and the one way in which a picture file is opened."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from dopsd.support.errors import UserError

MULTIPLE = 16  # pixels; what the autoencoders and patches of all backbones divide


@dataclass(frozen=True)
class Item:
    """One picture: its file, the size it is trained at (height, width), its captions by name, and, in the editing task, the
    files of the pictures that it is made from."""

    file: Path
    size: tuple[int, int]
    captions: dict[str, str]
    class_name: str
    inputs: tuple[Path, ...] = ()

    def image(self) -> Image.Image:
        """The picture, cropped around its centre to the size's shape and resized to it; UserError if it is broken."""
        return fitted(opened(self.file), *self.size)

    def references(self) -> list[Image.Image]:
        """The editing task's input pictures, each at the area of `size` in its own shape."""
        out = []
        for image in map(opened, self.inputs):
            scale = math.sqrt(math.prod(self.size) / (image.height * image.width))
            height, width = (max(MULTIPLE, round(n * scale / MULTIPLE) * MULTIPLE) for n in (image.height, image.width))
            out.append(fitted(image, height, width))
        return out


def opened(file: Path) -> Image.Image:
    """A picture in RGB, turned as its camera says; UserError if it is broken."""
    try:
        with Image.open(file) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{file}: not a readable image ({error}); replace it or take its line out") from None


def fitted(image: Image.Image, height: int, width: int) -> Image.Image:
    """Cropped around the centre to the shape of height x width and resized to it."""
    scale = max(height / image.height, width / image.width)
    resized = (max(width, round(image.width * scale)), max(height, round(image.height * scale)))
    if resized != image.size:
        image = image.resize(resized, Image.Resampling.LANCZOS)
    left, top = (resized[0] - width) // 2, (resized[1] - height) // 2
    return image.crop((left, top, left + width, top + height))
