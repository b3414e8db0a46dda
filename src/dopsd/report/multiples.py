"""Small multiples: a row a method, a column a score, every other method in grey behind, the pair that is compared in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from dopsd.report import fonts
from dopsd.report.layout import LETTER, SMALL, WIDTH, End, dressed, ends, panels, wrapped
from dopsd.report.names import label, short
from dopsd.report.palette import BEHIND, REFERENCES, colour

Curves = Mapping[
    str, pd.DataFrame
]  # {row: a line's points: x, value, low, high}; one without x runs through at its value
NAMES = 16  # letters of a row's name in a line
TALL, FLAT = 2.7, 1.1  # inches of the first row, whose lines are named, and of each other


def _rows(trained: Sequence[str], pair: Sequence[str]) -> list[list[str]]:
    """What each row of panels is about: the pair together, then every other method alone."""
    both = [m for m in trained if m in pair]
    return ([both] if both else []) + [[m] for m in trained if m not in pair]


def _reference(axes: Axes, row: str, points: pd.DataFrame) -> End:
    """A row without training: a dotted line, or a dot where it has one point."""
    grey, mark = REFERENCES[row]
    x, y = points.x.iloc[-1], points.value.iloc[-1]
    if pd.isna(x):
        axes.axhline(y, color=grey, linestyle=":", linewidth=1.1)
        return End(None, y, short(row), grey)
    how = {"marker": mark, "markersize": 4} if len(points) == 1 else {"linestyle": ":", "linewidth": 1.4}
    axes.plot(points.x, points.value, color=grey, zorder=2, **how)
    return End(x, y, short(row), grey)


def _panel(axes: Axes, curves: Curves, about: Sequence[str], pair: Sequence[str], bars: bool) -> list[End]:
    """One panel -> the names of its lines' ends: of what is not trained, and of what it is about."""
    names = []
    for row, points in curves.items():
        if row in REFERENCES:
            names.append(_reference(axes, row, points))
        elif row in about:
            axes.plot(points.x, points.value, "o-", color=colour(row), linewidth=1.8, markersize=3.5, zorder=4)
            _spans(axes, points, colour(row), bars)
            names.append(End(points.x.iloc[-1], points.value.iloc[-1], label(row), colour(row)))
        elif row in pair:
            axes.plot(points.x, points.value, color=colour(row), linewidth=1.1, alpha=0.6, zorder=3)
        else:
            axes.plot(points.x, points.value, color=BEHIND, linewidth=0.8, zorder=1)
    return names


def _spans(axes: Axes, points: pd.DataFrame, of: str, bars: bool) -> None:
    """The intervals of a line: a band, or bars where it may run back."""
    if bars:
        axes.vlines(points.x, points.low, points.high, color=of, linewidth=0.8, alpha=0.6)
    else:
        axes.fill_between(points.x, points.low, points.high, color=of, alpha=0.16, linewidth=0)


def multiples(
    scores: Mapping[str, Curves], trained: Sequence[str], pair: Sequence[str], x: str, log: int = 0, bars: bool = False
) -> Figure:
    """A figure of {a panel's title: its curves}. trained: the methods that have rows, in their order; pair: those that share
    the first one and stand in colour in every panel; x: what the curves run over; log: the base of its scale, 0: linear;
    bars: intervals as bars, not as bands."""
    rows = _rows(trained, pair)
    heights = [TALL, *[FLAT] * (len(rows) - 1)]
    how = {"sharey": "col", "height_ratios": heights}
    figure, every = panels(len(rows) * len(scores), len(scores), sum(heights) / len(rows), **how)
    named = []
    for about, line in zip(rows, every.reshape(len(rows), len(scores)), strict=True):
        first = about is rows[0]
        for axes, (title, curves) in zip(line, scores.items(), strict=True):
            found = _panel(axes, curves, about, pair, bars)
            named += [(axes, found)] if first else []
            dressed(axes, wrapped(title, 23) if first else "", wrapped(x, 26) if about is rows[-1] else "")
        called = wrapped("\n".join(map(label, about)), NAMES)
        line[0].set_ylabel(
            called,
            rotation=0,
            ha="right",
            va="center",
            fontsize=SMALL + 0.5,
            fontweight="bold",
            color=colour(about[0]) if len(about) == 1 else "black",
            **fonts.how(called),
        )
    for axes in every[: len(scores)]:
        axes.yaxis.set_major_locator(MaxNLocator(4))  # as many as a flat row has room for
    for axes in every[len(scores) :]:  # the first row has room for names to its right
        axes.sharex(every[-1])
    for axes in every[len(scores) : -len(scores)]:
        axes.tick_params(labelbottom=False)
    for axes in every if log else ():
        _logarithmic(axes, log)
    size = ((WIDTH - LETTER * NAMES) / len(scores) - 0.5, TALL - 1.2)
    for axes, found in named:  # when all rows are drawn, since they share their scales
        ends(axes, found, size)
    return figure


def _logarithmic(axes: Axes, base: int) -> None:
    """The x of a panel on such a scale, in plain numbers."""
    low, high = axes.dataLim.intervalx
    axes.set_xscale("log", base=base)
    places = (1, 2, 5) if high < 20 * low else (1, 3) if high < 200 * low else (1,)
    axes.xaxis.set_major_locator(LogLocator(base, places if base == 10 else (1,), numticks=20))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
