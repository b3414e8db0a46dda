"""Figures and sheets of a study's reports, made small."""

from __future__ import annotations

import io

import numpy as np
from IPython.display import Image as Shown
from IPython.display import display
from PIL import Image

from dopsd.report import layout
from dopsd.report.comparison import TAUGHT, TITLE, cut_sheet
from dopsd.report.grids import DPI, picture_grid
from dopsd.report.names import label
from dopsd.report.notebook.record import on_record, say
from dopsd.report.sheets import SAID
from dopsd.report.site import captions, images
from dopsd.report.site.studies import Study, command
from dopsd.study import grid
from dopsd.support.errors import UserError
from dopsd.support.opener import opened

OF_PICTURES = ("comparison", "probe", "names")  # the figures that hold pictures; the others are charts
WIDTH, CHART = 900, round(layout.WIDTH * DPI)  # pixels that a figure of pictures, and a chart, is at most wide
QUALITY = 90  # of a JPEG
ACROSS, SCALE = 4, 2  # prompts of a sheet that are shown, and how much larger


def chart(image: Image.Image, alt: str) -> Shown:
    """A chart as a PNG of at most `CHART` pixels, in 128 colours; alt: what it shows, in words."""
    return _held(_narrow(image, CHART).quantize(128, dither=Image.Dither.NONE), alt, "PNG")


def photos(image: Image.Image, alt: str) -> Shown:
    """A figure of pictures as a JPEG of at most `WIDTH` pixels, its colours as fine as its light."""
    return _held(_narrow(image, WIDTH), alt, "JPEG", quality=QUALITY, subsampling=0)


def exact(image: Image.Image, alt: str) -> Shown:
    """A few pictures to the pixel, so that blur is what it was."""
    return _held(image, alt, "PNG")


def _grid(rows: list[list[np.ndarray]], prompts: list[str], names: list[str], alt: str) -> Shown:
    """Pictures in rows with their names beneath their prompts, to the pixel."""
    data = io.BytesIO()
    picture_grid(rows, prompts, names, SCALE, title=TITLE).savefig(data, dpi=DPI)
    return exact(Image.open(data).convert("RGB"), alt)


def _narrow(image: Image.Image, width: int) -> Image.Image:
    whole = image.convert("RGB")
    size = (width, round(image.height * width / image.width))
    return whole.resize(size, Image.Resampling.LANCZOS) if image.width > width else whole


def _held(image: Image.Image, alt: str, kind: str, **how: int) -> Shown:
    data = io.BytesIO()
    image.save(data, kind, optimize=True, **how)
    return Shown(data.getvalue(), alt=alt)


@on_record
def figure(of: Study, name: str) -> None:
    """Show a figure of a study's reports with its caption. UserError where the study has none of that name."""
    file, kind = of.file(f"figures/{name}.png"), captions.known(of).get(name)
    if kind is None or not file.exists():
        raise UserError(f"{file}: missing, or no figure with a caption; run `{command(of.folder)}`")
    display((photos if name in OF_PICTURES else chart)(opened(file), kind.title))
    data = kind.data[1:] if kind.data.startswith("/") else of.file(kind.data)
    stop = "" if kind.title.endswith("?") else "."
    say(f"**{kind.title}{stop}** {captions.caption(of, kind)} Numbers: `{data}`.")


@on_record
def sheet(of: Study, concept: str, *rows: str) -> None:
    """Show the first pictures of these rows of a concept's sheet, and what was taught. UserError where its prompts are not on
    record."""
    prompts, file = of.prompts(concept), of.file(f"figures/sheets/{concept}.png")
    if not prompts:
        raise UserError(f"{file.with_name('prompts.csv')}: no prompts of {concept}; run `{command(of.folder)}`")
    cells, few = cut_sheet(file, of.params, concept, prompts), of.params.evaluate.few
    known = [row for row in rows if row in cells]
    drawn, names = [cells[row][:ACROSS] for row in [*known, TAUGHT]], [*map(label, known), TAUGHT]
    display(_grid(drawn, prompts[:ACROSS], names, f"{concept}: {', '.join(names)}"))
    say(
        f"**{concept}** ({grid.kind(of.params, concept)}): new scenes of the prompts above, from the same noise down a "
        f"column, in {few} steps without guidance, shown {SCALE} times as large. {captions.last(of)}; seed "
        f"{of.params.grid.seeds[0]}. The first {ACROSS} prompts: none is chosen. Whole: `{file}`."
    )


@on_record
def few_steps(of: Study) -> None:
    """Show what the base and both few-step models draw of ordinary prompts that say little, untuned."""
    prompts, drawn = images.few_steps(ACROSS)
    display(_grid(list(drawn.values()), prompts, list(drawn), ", ".join(drawn)))
    say(
        f"Ordinary prompts that say each attribute with chance {SAID[-1]}, from the same noise down a column, nothing tuned, "
        f"shown {SCALE} times as large. The first {ACROSS}: none is chosen. Numbers: `{of.file('metrics/miniature.json')}`."
    )
