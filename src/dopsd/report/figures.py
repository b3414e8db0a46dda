"""The figures. Each function takes what was measured and returns a matplotlib figure; `grids.save` writes it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from dopsd.evaluation.statistics import interval
from dopsd.report.cells import Key, Steps, last
from dopsd.report.grids import TILE, read_picture, rows_of
from dopsd.report.layout import dressed, panels
from dopsd.report.multiples import multiples
from dopsd.report.names import label, score_name
from dopsd.report.palette import OTHER, colour, shade
from dopsd.report.scales import misfit, scale
from dopsd.support import paths
from dopsd.support.errors import UserError
from dopsd.support.files import read_csv

SHOWN_SIDE = 2 * TILE  # of a picture of the probe, pixels


def means(table: pd.DataFrame, by: str, score: str) -> pd.DataFrame:
    """Mean and interval of a score over the concepts, on its scale, for every value of `by`: columns by, value, low, high, n;
    without those of which a value has no place on the scale."""
    found: dict[float, dict[str, list[float]]] = {}
    for key, concept, value in table[[by, "concept", score]].dropna().itertuples(index=False, name=None):
        found.setdefault(key, {}).setdefault(concept, []).append(value)
    rows = []
    for key in sorted(found):
        units = [fmean(values) for values in found[key].values()]
        if not misfit(units, scale(score)):
            rows.append({by: key} | interval(units, scale=scale(score)))
    return pd.DataFrame(rows, columns=[by, "value", "low", "high", "n"]).astype({"low": float, "high": float})


def arms(found: pd.DataFrame) -> np.ndarray:
    """Lengths of the error bars: none where one unit has no interval."""
    return np.nan_to_num(np.maximum([found.value - found.low, found.high - found.value], 0))


PANELS = {
    "retention_kid": "ordinary prompts: KID\nto untouched\n(lower = kept)",
    "blur_read": "new scenes:\nblur, pixels",
    "contrast": "new scenes: contrast\n(1 = renders)",
    "leakage": "ordinary prompts:\nconcept drawn unasked\n(untouched = chance)",
}


def by_row(table: pd.DataFrame, by: str, score: str) -> dict[str, pd.DataFrame]:
    """{row: its `means`} of the rows that have one, in the table's order."""
    each = {str(row): means(mine, by, score) for row, mine in table.groupby("method", sort=False)}
    return {row: found for row, found in each.items() if len(found)}


def fidelity_retention(
    table: pd.DataFrame, fidelity: str, trained: Sequence[str], pair: Sequence[str]
) -> Figure | None:
    """Along training, fidelity on new scenes against what is kept elsewhere: a row a method, a dot a checkpoint; rows without
    training are dots. pair: the methods that are compared. None where the study measures none of it."""
    shown = {score: title for score, title in PANELS.items() if score in table}
    if not shown or fidelity not in table or not trained:
        return None
    table = table.dropna(subset=[fidelity])
    across, curves = by_row(table, "step", fidelity), {}
    for score, title in shown.items():
        both = {
            row: found.merge(across[row], on="step", suffixes=("", "_x"))
            for row, found in by_row(table, "step", score).items()
            if row in across
        }
        curves[title] = {row: found.assign(x=found.value_x) for row, found in both.items()}
    return multiples(curves, trained, pair, score_name(fidelity), bars=True)


QUALITY = {
    "quality_frechet": "Fréchet distance to\nheld-out renders\n(lower = better)",
    "quality_adherence": "adherence\nto the prompt",
    "quality_contrast": "contrast\n(1 = renders)",
    "quality_blur_read": "blur, pixels",
}


def nfe(cells: Mapping[Key, Steps], trained: Sequence[str], pair: Sequence[str]) -> Figure | None:
    """Quality on ordinary prompts against the number of steps, of the untouched model and after each fine-tuning, of the
    cells that draw in all of them; a row a method, pair: those that are compared. None where the study measures none."""
    rows = [
        {
            "method": method,
            "concept": concept,
            "seed": seed,
            "nfe": int(name.split("@")[1]),
            "score": name.split("@")[0],
            "value": v,
        }
        for (method, concept, seed), steps in cells.items()
        if method != "described"  # on ordinary prompts that is the untouched model
        for name, v in last(steps).items()
        if name.split("@")[0] in QUALITY
    ]
    if not rows or not trained:
        return None
    long = pd.DataFrame(rows)
    drawn = long.groupby(["concept", "seed"]).nfe.transform("nunique")
    who = ["method", "concept", "seed", "nfe"]
    table = long[drawn == drawn.max()].pivot(index=who, columns="score", values="value").reset_index()
    shown = {score: title for score, title in QUALITY.items() if score in table}
    curves = {
        title: {row: found.assign(x=found.nfe) for row, found in by_row(table, "nfe", score).items()}
        for score, title in shown.items()
    }
    return multiples(curves, trained, pair, "steps (NFE)", log=2)


def _logarithmic(axes: Axes) -> None:
    """A loss's scale, with a number wherever there is little else to read."""
    low, high = axes.dataLim.intervaly
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,), numticks=20))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())


def loss(table: pd.DataFrame) -> Figure:
    """Loss curves: a panel a method (their losses are different quantities), a thin line a training, a thick mean."""
    methods = list(dict.fromkeys(table.method))
    figure, every = panels(len(methods), 4, 2.0)
    for axes, method in zip(every, methods, strict=True):
        mine = table[table.method == method]
        for _, run in mine.groupby(["concept", "seed"]):
            axes.plot(run.step, run.loss, color=colour(method), alpha=0.2, linewidth=0.6)
        axes.plot(mine.groupby("step").loss.mean(), color=shade(colour(method), -0.35), linewidth=1.6)
        _logarithmic(axes)
        dressed(axes, textwrap.fill(label(method), 26), "optimiser steps", "loss" if axes in every[::4] else "")
    return figure


CONTEXTS = {
    "text": "text only",
    "image_text": "target image\n+ text",
    "wrong_image_text": "another image\n+ text",
    "image": "target image,\nno text",
}


def probe(contexts: Sequence[str], vlms: Sequence[str], foot: str = "") -> Figure:
    """The probe's sheet: target pictures, then what each context made the untouched model draw from equal noise.

    vlms: the names of the encoders, the first one's rows first; text only is the same for all and shown once. foot: what
    is said beneath.
    """
    sheet = read_picture(paths.PROBE_SHEET, "dvc repro probe")
    names = ["target", *(CONTEXTS[c] for c in contexts)]
    names += [f"{CONTEXTS[c]}\n({vlm})" for vlm in vlms[1:] for c in contexts if c != "text"]
    return rows_of(sheet, names, max(1, SHOWN_SIDE // (len(sheet) // len(names))), foot)


def recipe(folder: Path) -> Figure:
    """The loss of every part of the miniature over its training: a panel a part, a running mean over the raw losses."""
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise UserError(f"{folder}: no loss curves (*.csv)")
    figure, every = panels(len(files), 4, 1.9)
    for axes, file in zip(every, files, strict=True):
        curve = read_csv(file, "step", "loss", "seconds")
        axes.plot(curve.step, curve.loss, color=OTHER, alpha=0.3, linewidth=0.6)
        axes.plot(curve.step, curve.loss.rolling(9, min_periods=1, center=True).mean(), color=OTHER)
        _logarithmic(axes)
        dressed(axes, f"{file.stem}, {curve.seconds.iloc[-1] / 60:.1f} minutes", "step")
    return figure
