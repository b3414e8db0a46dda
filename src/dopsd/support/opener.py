"""The one opener of picture files: what any of them shows, in sRGB, turned as its camera says, laid on a background.

Only formats that we mean are opened, whatever a file is called, and only within bounds, so that no other program is ever
started (an EPS under .png) and no small file fills the memory.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageCms, ImageColor, ImageFile

from dopsd.support.errors import UserError, told
from dopsd.support.text import regular

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "PPM")  # Pillow's names; JFIF and MPO are JPEGs
SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .webp .avif .tif .tiff .gif .bmp .dib .ppm .pgm .pbm .pnm".split()
)
PIXELS, SIDE, BYTES = 100_000_000, 100_000, 1 << 30  # of a picture at most; more is refused before it is decoded
ORIENTATION = 0x0112  # the EXIF tag
TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
GREY16 = ("I;16", "I;16B", "I;16L", "I;16N", "I")
SAME = 2  # of 255: a profile that moves no colour farther is sRGB, and pixels stay as they are


@dataclass(frozen=True)
class Header:
    """What a picture's header says. height, width: as it is shown, turned. transparent: it may be. several: it holds more
    than one picture (an animation, pages), of which the first is taken. profile: the name of the colour profile that it is
    converted from (None: sRGB, or it has none). broken_profile: it has one that cannot be used: its numbers count as sRGB."""

    format: str
    mode: str
    height: int
    width: int
    transparent: bool
    several: bool
    profile: str | None
    broken_profile: bool


@lru_cache(64)
def colour(text: str) -> tuple[int, int, int]:
    """A background, by its name or as #rrggbb -> red, green, blue in [0, 255]; UserError where it is none."""
    try:
        if re.fullmatch(r"[a-zA-Z]+|#[0-9a-fA-F]{6}", text):
            red, green, blue = ImageColor.getrgb(text)[:3]
            return red, green, blue
    except ValueError:
        pass
    raise UserError(f"background {text!r}: no colour; give a name (white) or #rrggbb (#ffffff)")


def peek(file: Path) -> Header:
    """What a picture's header says; nothing is decoded. UserError as `opened`."""
    with _reading(file) as image:
        height, width = image.height, image.width
        if image.format != "TIFF" and _orientation(image, _late_chunks(image)) >= 5:  # a TIFF's is applied by Pillow
            height, width = width, height
        profile = _profile(image.info.get("icc_profile"), image.mode)
        return Header(
            format=image.format or "",
            mode=image.mode,
            height=height,
            width=width,
            transparent=image.has_transparency_data,
            several=image.format != "MPO" and bool(getattr(image, "is_animated", False)),
            profile=profile.name if profile and profile.transform else None,
            broken_profile=bool(profile and profile.broken),
        )


def opened(file: Path, background: str = "white") -> Image.Image:
    """A picture in RGB (sRGB), turned as its camera says, what is transparent laid on the background.

    UserError where it is missing, no file, of no format that is read, too large, damaged or cut off. Damaged EXIF and a
    broken colour profile are none (see `peek`).
    """
    under = colour(background)
    with _reading(file) as image:
        if image.format == "PNG":  # the one format with checksums: a flipped bit is found
            image.verify()
    with _reading(file) as image:
        image.load()
        how = TURNED.get(1 if image.format == "TIFF" else _orientation(image))
        picture = _flat(image, under)
        return picture.transpose(how) if how is not None else picture


@contextmanager
def _reading(file: Path) -> Iterator[ImageFile.ImageFile]:
    """An open picture within the bounds, its pixels not yet decoded; whatever its decoder raises is a UserError."""
    size = regular(file).stat().st_size
    if size > BYTES:
        raise UserError(f"{file}: {size / 2**20:.0f} MiB, more than {BYTES // 2**20} of a picture; make it smaller")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's of size, of EXIF, of palettes: seen to here
            # a stream: a named file Pillow maps, so that one that shrinks ends the program, and turned TIFFs come out wrong
            with file.open("rb") as stream, Image.open(stream, formats=FORMATS) as image:
                if image.width * image.height > PIXELS or max(image.size) > SIDE:
                    raise UserError(
                        f"{file}: {image.width} x {image.height} pixels, more than {PIXELS // 10**6} million, or than {SIDE} "
                        "a side; make it smaller"
                    )
                yield image
    except UserError:
        raise
    except Image.UnidentifiedImageError:
        raise UserError(f"{file}: not a readable image: none of {', '.join(FORMATS)}; save it as PNG or JPEG") from None
    except Exception as error:  # a decoder raises whatever damaged bytes make it raise
        raise UserError(
            f"{file}: not a readable image ({told(error)}); replace it, or take it out of the set"
        ) from None


def _late_chunks(image: ImageFile.ImageFile) -> bool:
    """Whether a PNG keeps EXIF or XMP behind its pixels, where Pillow sees it after decoding only."""
    if image.format != "PNG" or "exif" in image.info or not image.tile or image.fp is None:
        return False
    stream, at = image.fp, image.fp.tell()
    stream.seek(image.tile[0][2] - 8)
    late = False
    while len(head := stream.read(8)) == 8 and head[4:] != b"IEND" and not late:
        late = head[4:] in (b"eXIf", b"iTXt", b"zTXt", b"tEXt")
        stream.seek(int.from_bytes(head[:4], "big") + 4, io.SEEK_CUR)
    stream.seek(at)
    return late


def _orientation(image: ImageFile.ImageFile, decode: bool = True) -> int:
    """1 to 8, as EXIF numbers them; 1 where nothing is said, or EXIF is damaged. decode: as far as it takes (a PNG)."""
    try:
        exif = image.getexif() if decode else Image.Image.getexif(image)
        said = exif.get(ORIENTATION, 1)
    except Exception:  # damaged EXIF raises in many ways; the picture itself is fine
        return 1
    return said if isinstance(said, int) and 1 <= said <= 8 else 1


class _Profile(NamedTuple):
    """A colour profile, ready: `transform` from `mode` to sRGB (None: it is sRGB, or it is broken)."""

    name: str
    mode: str
    transform: ImageCms.ImageCmsTransform | None
    broken: bool = False


@lru_cache(32)
def _profile(data: bytes | None, mode: str) -> _Profile | None:
    """The profile of a picture of this mode; None where there is none."""
    if not data:
        return None
    grey, inks = mode in ("1", "L", "LA", "La", *GREY16), mode == "CMYK"
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        name = " ".join(ImageCms.getProfileDescription(profile).split())[:60] or "a profile without a name"
        core: Any = profile.profile  # Pillow types it as the file that it may come from
        space = core.xcolor_space.strip()
        given = {"RGB": None if inks else "RGB", "GRAY": "L" if grey else None, "CMYK": "CMYK" if inks else None}[space]
        if given is None:  # of another kind of picture
            return _Profile(name, mode, None, True)
        intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
        to = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(profile, to, given, "RGB", intent, flags)
        return _Profile(name, given, None if _is_srgb(transform, given) else transform)
    except Exception:  # a damaged profile raises in many ways
        return _Profile("a damaged profile", mode, None, True)


def _is_srgb(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether it moves no colour by more than `SAME`."""
    if mode == "CMYK":
        return False
    if mode == "L":
        asked = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    else:
        levels = np.arange(0, 256, 17, dtype=np.uint8)
        asked = Image.fromarray(np.stack([a.reshape(-1) for a in np.meshgrid(levels, levels, levels)], -1)[None])
    moved = np.asarray(transform.apply(asked)).astype(int) - np.asarray(asked.convert("RGB"))
    return int(np.abs(moved).max()) <= SAME


def _flat(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """RGB: numbers of any depth scaled, colours in sRGB, what is transparent laid on the background."""
    profile, alpha, plain = _profile(image.info.get("icc_profile"), image.mode), None, image
    if image.mode in (*GREY16, "F"):
        plain, alpha = _grey(image)
    elif image.has_transparency_data:
        plain = image.convert("RGBA")
        alpha = plain.getchannel("A")
    if profile and profile.transform:
        plain = profile.transform.apply(plain.convert(profile.mode))
    picture = plain.convert("RGB")
    picture.info = {}  # what it held of profile and turning is done: a copy that is written must not say it again
    if alpha is None or alpha.getextrema() == (255, 255):
        return picture
    base = Image.new("RGB", image.size, background)
    base.paste(picture, mask=alpha)
    return base


def _grey(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """16 bits of grey -> 8, and the alpha channel if one value is transparent."""
    pixels = np.asarray(image)
    if image.mode == "F" or (image.mode == "I" and (pixels.min() < 0 or pixels.max() > 65535)):
        raise ValueError("grey of 32 bits, of which nobody knows what white is: save it with 8 or 16")
    hidden = image.info.get("transparency")
    alpha = Image.fromarray(np.where(pixels == hidden, 0, 255).astype(np.uint8)) if isinstance(hidden, int) else None
    return Image.fromarray(((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)), alpha
