"""The model card's sheets: equal prompts and noise by the base and by both turbos, and what names draw."""

from __future__ import annotations

from matplotlib.figure import Figure

from dopsd.report.grids import TILE, read_picture, rows_of
from dopsd.support import paths

SAID = ("1", "0.15")  # the openness of the sheets of prompts
PANELS = {
    "base_4": "Base, 4 steps",
    "base_32": "Base, 32 steps with guidance",
    "turbo_4": "Turbo, 4 steps",
    "turbo-2_4": "Second turbo, 4 steps",
}
MADE_BY = "dvc repro miniature"


def prompts(said: str) -> Figure:
    """Equal prompts and noise: a panel a model and number of steps, a tile a prompt."""
    figure = Figure(figsize=(16, 9), layout="constrained")
    for axes, (who, title) in zip(figure.subplots(2, 2).flat, PANELS.items(), strict=True):
        file = paths.PROMPT_SHEETS / f"{who}-said-{said}.png"
        axes.imshow(read_picture(file, MADE_BY), interpolation="nearest")
        axes.set_title(title, fontsize=18)
        axes.set_axis_off()
    foot = (
        f"Prompts that say each attribute with chance {said}; equal prompts and noise in all panels; nothing is tuned."
    )
    figure.supxlabel(foot, x=0.01, ha="left", fontsize=14)
    return figure


def names(foot: str = "") -> Figure:
    """What names draw: a row a kind of name, a column a noise; foot: beneath all."""
    rows = (paths.PROMPT_SHEETS / "names.txt").read_text(encoding="utf-8").splitlines()
    sheet = read_picture(paths.PROMPT_SHEETS / "names.png", MADE_BY)
    scale = 1.5 * TILE / (len(sheet) // len(rows))
    return rows_of(sheet, [row.replace("_", " ") for row in rows], scale, foot)
