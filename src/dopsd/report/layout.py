"""How charts are laid out: as wide as they are shown, panels in rows, names at the ends of lines, and what they are of."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import isotonic_regression

from dopsd.report import fonts

WIDTH = 10.0  # inches of a chart: as many pixels as the page and the notebooks have for it
TITLE, SMALL = 10.5, 8.5  # points of a panel's title, and of names and feet
LETTER, LINE = 0.064, 0.145  # inches of a small letter, about, and of a small line
TICK = 0.27  # inches that a tick's number needs at least


class End(NamedTuple):
    """A name for the end of a line: where the line ends (x None: it runs through), what it is called, its colour."""

    x: float | None
    y: float
    name: str
    colour: str


def panels(n: int, across: int, height: float, **how: Any) -> tuple[Figure, np.ndarray]:
    """A figure of n panels of so many inches' height, so many across its width -> (figure, its axes in order); the rest is
    blank. Fewer than fill a row share the width."""
    across = min(across, n)
    figure = Figure(figsize=(WIDTH, height * -(-n // across)), layout="constrained")
    axes = np.ravel(figure.subplots(-(-n // across), across, squeeze=False, **how))
    for blank in axes[n:]:
        blank.set_axis_off()
    return figure, axes[:n]


def wrapped(text: str, letters: int) -> str:
    """A text whose lines are broken where they are longer than so many letters."""
    return "\n".join(textwrap.fill(line, letters) for line in text.splitlines())


def dressed(axes: Axes, title: str = "", x: str = "", y: str = "") -> None:
    """A panel's title and names of its axes, in the sizes of all charts, and its grid."""
    axes.set_title(title, fontsize=TITLE)
    axes.set_xlabel(x, fontsize=SMALL + 0.5)
    axes.set_ylabel(y, fontsize=SMALL + 0.5)
    axes.tick_params(labelsize=SMALL)
    axes.grid(alpha=0.3, linewidth=0.7)


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Places in [0, 1], in any order, moved as little as may be (least squares) so that neighbours are `gap` apart; they stay
    in [gap / 2, 1 - gap / 2] as far as they find room there."""
    order = np.argsort(places, kind="stable")
    steps = gap * np.arange(len(places))
    apart = isotonic_regression(np.asarray(places, float)[order] - steps).x
    apart = apart.clip(gap / 2, max(gap / 2, 1 - gap / 2 - steps[-1])) + steps if len(places) else apart
    out = np.empty(len(places))
    out[order] = apart
    return out.tolist()


def ends(axes: Axes, names: Sequence[End], size: tuple[float, float]) -> None:
    """Write names beside the ends of a panel's lines, in room that is made for them to the right of the last, where the axis
    has no ticks. To be called when all is plotted and the scales are set. size: inches of the panel, about."""
    if not names:
        return
    width, height = size
    share = min(0.6, (LETTER * max(len(end.name) for end in names) + 0.2) / width)
    bottom, top = axes.get_ylim()
    left, right = axes.get_xlim()
    ticks = [x for x in axes.get_xticks() if left <= x <= right]
    axes.set_xticks(ticks[:: max(1, round(TICK * len(ticks) / (width * (1 - share))))])
    across = axes.get_xaxis().get_transform()
    low, high = across.transform(np.array([left, right]))
    last = max((across.transform(end.x) for end in names if end.x is not None), default=high)
    high = max(high, low + (last - low) / (1 - share))
    axes.set_xlim(*across.inverted().transform(np.array([low, high])))
    at = (last - low) / (high - low) + 0.12 / width
    heights = spread([(end.y - bottom) / (top - bottom) for end in names], LINE / height)
    for end, y in zip(names, heights, strict=True):
        x = across.inverted().transform(last) if end.x is None else end.x
        how: dict[str, Any] = {"arrowstyle": "-", "color": end.colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0}
        written = axes.annotate(
            end.name,
            (x, end.y),
            (at, y),
            textcoords="axes fraction",
            arrowprops=how,
            va="center",
            fontsize=SMALL,
            color=end.colour,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.4},
            zorder=6,
            **fonts.how(end.name),
        )
        written.set_in_layout(False)  # its room is inside of the panel
    axes.set_ylim(bottom, top)


def placed(figure: Figure, title: str, foot: str) -> None:
    """Write above a chart what it shows, and beneath it of what: its study, units, checkpoint and intervals."""
    letters = figure.get_figwidth() / LETTER
    head, told = textwrap.fill(title, int(letters / 1.45)), textwrap.fill(foot, int(letters * 1.02))
    figure.suptitle(head, x=0.005, ha="left", fontsize=12, fontweight="bold", **fonts.how(title))
    figure.supxlabel(told, x=0.005, ha="left", fontsize=SMALL, color="#444444", **fonts.how(foot))
    lines = head.count("\n") + told.count("\n") + 2
    figure.set_figheight(figure.get_figheight() + 0.1 + 0.17 * lines)
