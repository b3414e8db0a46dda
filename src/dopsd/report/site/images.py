"""Pictures of the reports as the page holds them: in its own text, without loss, so that blur is what it was."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from dopsd.report.comparison import TAUGHT, cut_sheet
from dopsd.report.grids import TILE, read_picture
from dopsd.report.names import label
from dopsd.report.sheets import MADE_BY, PANELS, SAID
from dopsd.report.site.studies import Study
from dopsd.support import paths
from dopsd.support.opener import opened
from dopsd.support.text import read_text

SHOWN = 3  # a picture of a sheet is shown so much larger


class Picture(NamedTuple):
    """Its address, which holds it, its width and height in pixels, and what it shows, for who cannot see it."""

    uri: str
    width: int
    height: int
    alt: str


class Strip(NamedTuple):
    """A row of a sheet: who drew it, and its pictures."""

    name: str
    pictures: list[Picture]


class Sheet(NamedTuple):
    """Pictures of a concept: its prompts, what was taught, and a row a method. size: pixels that a picture is shown at."""

    concept: str
    kind: str
    prompts: list[str]
    taught: list[Picture]
    rows: list[Strip]
    size: int


def held(image: Image.Image, alt: str) -> Picture:
    """A picture in RGB as a lossless WebP in a data address."""
    data = io.BytesIO()
    image.save(data, "WEBP", lossless=True, quality=80, method=6)
    uri = f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}"
    return Picture(uri, image.width, image.height, alt)


def figure(file: Path, alt: str) -> Picture:
    """A figure's file."""
    return held(opened(file), alt)


def sheet(study: Study, concept: str, kind: str, methods: Sequence[str], most: int) -> Sheet | None:
    """The first so many prompts of a concept's sheet, and these rows of it, in this order; None where its prompts are not on
    record. UserError where the file is no such sheet."""
    prompts = study.prompts(concept)
    if not prompts:
        return None
    cells = cut_sheet(study.file(f"figures/sheets/{concept}.png"), study.params, concept, prompts)

    def picture(pixels: np.ndarray, alt: str) -> Picture:
        return held(Image.fromarray(np.ascontiguousarray(pixels)), alt)

    rows = [
        Strip(
            label(method),
            [
                picture(p, f"{label(method)}, asked for {prompt!r}, concept {concept}")
                for p, prompt in zip(cells[method][:most], prompts, strict=False)
            ],
        )
        for method in methods
        if method in cells
    ]
    taught = [picture(p, f"training picture {k + 1} of {concept}") for k, p in enumerate(cells[TAUGHT][:most])]
    side = cells[TAUGHT][0].shape[0]
    return Sheet(concept, kind, prompts[:most], taught, rows, SHOWN * TILE if side <= TILE else side)


def few_steps(most: int) -> tuple[list[str], dict[str, list[np.ndarray]]]:
    """The first ordinary prompts that say little, and what the base and both turbos draw of them from equal noise: {who: its
    pictures (64, 64, 3) uint8}."""
    said = SAID[-1]
    prompts = read_text(paths.PROMPT_SHEETS / f"said-{said}.txt").splitlines()[:most]
    drawn = {}
    for who, title in PANELS.items():
        pixels = read_picture(paths.PROMPT_SHEETS / f"{who}-said-{said}.png", MADE_BY)
        drawn[title] = [np.ascontiguousarray(pixels[:TILE, k * TILE : (k + 1) * TILE]) for k in range(len(prompts))]
    return prompts, drawn
