"""Pictures between tensors in [-1, 1], bytes, files and contact sheets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dopsd.support.opener import opened


def to_bytes(images: Tensor) -> Tensor:
    """[-1, 1] -> uint8."""
    return ((images.clamp(-1, 1) + 1) * 127.5).round().byte()


def from_bytes(images: Tensor) -> Tensor:
    """uint8 -> [-1, 1]."""
    return images.float() / 127.5 - 1


def to_pil(image: Tensor) -> Image.Image:
    """(3, H, W) in [-1, 1] -> a PIL image."""
    return Image.fromarray(to_bytes(image).permute(1, 2, 0).cpu().numpy())


def from_pil(image: Image.Image) -> Tensor:
    """A PIL image -> (3, H, W) in [-1, 1]."""
    return from_bytes(torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1))


def read_image(file: str | Path) -> Tensor:
    """An image file -> (3, H, W) in [-1, 1]; UserError where it is none (see `opener`)."""
    return from_pil(opened(Path(file)))


def contact_sheet(images: Tensor, columns: int) -> Tensor:
    """Tiles without gaps, row by row: (n, 3, h, w) -> (3, ceil(n / columns) h, columns w); missing tiles are white."""
    missing = -len(images) % columns
    images = torch.cat([images, images.new_ones(missing, *images.shape[1:])])
    n, c, h, w = images.shape
    rows = n // columns
    return images.reshape(rows, columns, c, h, w).permute(2, 0, 3, 1, 4).reshape(c, rows * h, columns * w)


def tiles(sheet: Tensor, height: int, width: int) -> Tensor:
    """The tiles of a contact sheet, row by row: (3, rows height, columns width) -> (rows columns, 3, height, width)."""
    rows, columns = sheet.shape[1] // height, sheet.shape[2] // width
    return sheet.reshape(3, rows, height, columns, width).permute(1, 3, 0, 2, 4).reshape(-1, 3, height, width)


def shown(images: Tensor, columns: int, scale: int = 2) -> Image.Image:
    """A contact sheet to look at, enlarged without smoothing: (n, 3, h, w) in [-1, 1]."""
    sheet = to_pil(contact_sheet(images, columns))
    return sheet.resize((sheet.width * scale, sheet.height * scale), Image.Resampling.NEAREST)
