"""Pictures in rows and columns with their names: the one place where such figures are made, and written."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from dopsd.report import fonts
from dopsd.sets.items import fitted
from dopsd.support.errors import UserError
from dopsd.support.opener import opened
from dopsd.support.pictures import to_pil

TILE = 64  # pixels of a miniature's picture
SCALE = 3  # how much larger it is shown
DPI = 100
GAP = 12  # pixels between pictures
SMALL, LINE, LETTER = 14, 28, 10.2  # a small text's points, and the pixels of its lines and, about, of its letters


def rows_of(sheet: np.ndarray, names: list[str], scale: float, foot: str = "") -> Figure:
    """A sheet (height, width, 3) that holds so many rows of equal height, each with its name; foot: beneath all."""
    side = len(sheet) // len(names)
    return picture_grid([[sheet[i * side : (i + 1) * side]] for i in range(len(names))], [""], names, scale, foot=foot)


def save(figure: Figure, file: Path) -> None:
    """Write a PNG without the time or the program's version in it, so that equal figures are equal files."""
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=DPI, metadata={"Software": None})


def read_picture(file: Path, command: str = "dvc repro") -> np.ndarray:
    """A picture as (height, width, 3); UserError that names the command which makes it, where it is missing."""
    if not file.exists():
        raise UserError(f"{file}: missing; run `{command}`")
    return np.asarray(opened(file))


def tile(image: Tensor, side: int) -> np.ndarray:
    """A picture (3, H, W) in [-1, 1] as a square tile of side x side pixels, cropped around its centre: (side, side, 3)."""
    return np.asarray(fitted(to_pil(image), side, side))


def magnified(image: np.ndarray, scale: float) -> np.ndarray:
    """(height, width, 3) uint8, enlarged without smoothing, or made smaller with it."""
    if scale >= 1:
        return np.kron(image, np.ones((round(scale), round(scale), 1), np.uint8))
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def broken(text: str, width: int) -> str:
    """A text in lines of so many letters."""
    return textwrap.fill(text, max(1, width * len(text) // max(1, fonts.wide(text))))


def shortened(text: str, width: int) -> str:
    """A text in one line of at most so many letters; an ellipsis stands for the rest."""
    line = " ".join(text.split())
    while fonts.wide(line) > width:
        line = line[:-2].rstrip() + "…"
    return line


def margins(
    columns: Sequence[str], names: Sequence[str], widths: Sequence[int], title: int
) -> tuple[int, int, list[str]]:
    """Pixels to the left of a grid's first picture and above it, and its titles in lines, from what stands there."""
    titles = [broken(c, max(8, int(w / (0.8 * title)))) for c, w in zip(columns, widths, strict=True)]
    longest = max(fonts.wide(line) for name in names for line in name.splitlines())
    return (
        30 + 13 * longest,
        50 + round(1.7 * title * max(t.count("\n") for t in titles)),
        titles,
    )  # a letter is 13 wide


def cut(
    file: Path, columns: Sequence[str], names: Sequence[str], side: int, title: int, shrink: int
) -> list[list[np.ndarray]]:
    """The square pictures of a grid, with lines beneath or without, side pixels each there, taken from its file again: rows
    of (side / shrink, side / shrink, 3). UserError where the file is no such grid."""
    figure = read_picture(file)
    left, top, _ = margins(columns, names, [side] * len(columns), title)
    right, bottom = left + (side + GAP) * len(columns), top + (side + GAP) * len(names)
    tiles = [
        [figure[y : y + side, x : x + side] for x in range(left, right, side + GAP)]
        for y in range(top, bottom, side + GAP)
    ]
    out = [[image[::shrink, ::shrink] for image in row] for row in tiles]
    same = (
        np.array_equal(magnified(a, shrink), b)
        for pair in zip(out, tiles, strict=True)
        for a, b in zip(*pair, strict=True)
    )
    beneath = figure.shape[0] - bottom
    lines = beneath == 0 or (beneath > GAP and (beneath - GAP) % LINE == 0)
    if figure.shape[1:] != (right, 3) or not lines or not all(same):
        raise UserError(f"{file}: not the sheet of these rows and prompts; run `dvc repro` of its study's report")
    return out


def picture_grid(
    rows: list[list[np.ndarray]],
    columns: list[str],
    names: list[str],
    scale: float = SCALE,
    title: int = 20,
    beneath: Sequence[str] = (),
    foot: str = "",
) -> Figure:
    """Pictures (height, width, 3) uint8 in rows and columns with titles; a column's are of one width.

    scale: how much larger a picture is shown (a whole number, without smoothing), or smaller. title: points of the
    titles, which are broken to their column's width. beneath: what is said in a small line under each row, as much of it as
    has place; foot: under all of them.
    """
    rows = [[magnified(image, scale) for image in row] for row in rows]
    widths, heights = [image.shape[1] for image in rows[0]], [row[0].shape[0] for row in rows]
    left, top, titles = margins(columns, names, widths, title)
    gap = GAP
    under, width = (LINE if beneath else 0), left + sum(widths) + gap * len(widths)
    last = broken(foot, round((width - 2 * gap) / LETTER))
    height = top + sum(heights) + (under + gap) * len(heights) + (gap + LINE * (1 + last.count("\n")) if foot else 0)
    figure = Figure(figsize=(width / DPI, height / DPI), facecolor="white")

    def written(x: float, y: float, text: str, size: float, **where: str) -> None:
        figure.text(x / width, 1 - y / height, text, fontsize=size, **where, **fonts.how(text))

    y = top
    for k, (row, name, tall) in enumerate(zip(rows, names, heights, strict=True)):
        x = left
        written(left - 10, y + tall / 2, name, 17, ha="right", va="center")
        for image, above, wide in zip(row, titles, widths, strict=True):
            axes = figure.add_axes((x / width, 1 - (y + tall) / height, wide / width, tall / height))
            axes.imshow(image, interpolation="nearest", aspect="auto")
            axes.set_axis_off()
            if y == top:
                axes.set_title(above, fontsize=title, pad=10, **fonts.how(above))
            x += wide + gap
        if beneath:
            written(left, y + tall + 4, shortened(beneath[k], round((width - left) / LETTER)), SMALL, va="top")
        y += tall + under + gap
    if foot:
        written(gap, y + gap, last, SMALL, va="top")
    return figure
