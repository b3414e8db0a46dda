"""The figures. Each function takes what was measured and returns a matplotlib figure; `grids.save` writes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from dopsd.evaluation.statistics import interval
from dopsd.report.cells import Key, Steps, last
from dopsd.report.grids import SCALE, TILE, read_picture, rows_of
from dopsd.report.names import colour, label, score_name
from dopsd.report.scales import misfit, scale
from dopsd.support import paths
from dopsd.support.errors import UserError
from dopsd.support.files import read_csv

SHOWN_SIDE = SCALE * TILE  # of a picture of the probe, pixels


def _by_method(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each method, in the table's order."""
    for method, rows in table.groupby("method", sort=False):
        yield str(method), rows


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


def panels(n: int, across: int, width: float, height: float, **how: Any) -> tuple[Figure, np.ndarray]:
    """A figure of n panels, so many in a row, each so many inches -> (figure, its axes in order); the rest is blank."""
    across = min(across, n)
    figure = Figure(figsize=(width * across, height * -(-n // across)), layout="constrained")
    axes = np.ravel(figure.subplots(-(-n // across), across, squeeze=False, **how))
    for blank in axes[n:]:
        blank.set_axis_off()
    return figure, axes[:n]


def legend(figure: Figure) -> None:
    """One legend of all panels, above them, each name once."""
    known = {}
    for axes in figure.axes:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            known.setdefault(name, handle)
    figure.legend(list(known.values()), list(known), loc="outside upper center", ncols=5, frameon=False)


PANELS = {
    "retention_kid": "ordinary prompts: KID\nto the untouched model (lower = kept)",
    "blur_read": "new scenes: blur, pixels\n(as the reader reads it)",
    "contrast": "new scenes: contrast\n(1 = the world's renders)",
    "leakage": "ordinary prompts: concept's attributes\ndrawn unasked (untouched = chance)",
}


def fidelity_retention(table: pd.DataFrame, fidelity: str) -> Figure | None:
    """Along training, fidelity on new scenes against what is kept elsewhere: a line a method, a dot a checkpoint, a large one
    the last; None where the study measures none of it."""
    shown = {score: title for score, title in PANELS.items() if score in table}
    if not shown or fidelity not in table:
        return None
    table = table.dropna(subset=[fidelity])
    figure, every = panels(len(shown), 2, 6.5, 4.4)
    for axes, (score, title) in zip(every, shown.items(), strict=True):
        for method, rows in _by_method(table.dropna(subset=[score])):
            both = means(rows, "step", fidelity).merge(means(rows, "step", score), on="step", suffixes=("_x", ""))
            if both.empty:
                continue
            look = {"color": colour(method), "label": label(method), "elinewidth": 0.8, "markersize": 4}
            axes.errorbar(both.value_x, both.value, yerr=arms(both), fmt="o-", **look)
            axes.plot(both.value_x.iloc[-1:], both.value.iloc[-1:], "o", color=colour(method), markersize=10)
        axes.set(xlabel=f"{score_name(fidelity)} on new scenes", title=title)
        axes.grid(alpha=0.3)
    legend(figure)
    return figure


QUALITY = {
    "quality_frechet": "Fréchet distance to held-out renders (lower = better)",
    "quality_adherence": "adherence to the prompt",
    "quality_contrast": "contrast (1 = the world's renders)",
    "quality_blur_read": "blur, pixels (as the reader reads it)",
}


def nfe(cells: Mapping[Key, Steps]) -> Figure | None:
    """Quality on ordinary prompts against the number of steps, of the untouched model and after each fine-tuning, of the
    cells that draw in all of them; None where the study measures none of it."""
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
    if not rows:
        return None
    long = pd.DataFrame(rows)
    drawn = long.groupby(["concept", "seed"]).nfe.transform("nunique")
    who = ["method", "concept", "seed", "nfe"]
    table = long[drawn == drawn.max()].pivot(index=who, columns="score", values="value").reset_index()
    order = {m: i for i, m in enumerate(dict.fromkeys(m for m, _, _ in cells))}
    table = table.sort_values("method", key=lambda m: m.map(order), kind="stable")
    shown = {score: title for score, title in QUALITY.items() if score in table}
    figure, every = panels(len(shown), 2, 6.5, 4.2)
    for axes, (score, title) in zip(every, shown.items(), strict=True):
        for method, mine in _by_method(table):
            y = means(mine, "nfe", score)
            look = {"color": colour(method), "label": label(method), "elinewidth": 0.8, "markersize": 5}
            axes.errorbar(y.nfe, y.value, yerr=arms(y), fmt="o-", **look)
        axes.set_xscale("log", base=2)
        axes.set(xlabel="steps (NFE)", title=title, xticks=sorted(table.nfe.unique()))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.grid(alpha=0.3)
    legend(figure)
    return figure


def loss(table: pd.DataFrame) -> Figure:
    """Loss curves: a panel a method (their losses are different quantities), a thin line a training, a thick mean."""
    methods = list(dict.fromkeys(table.method))
    figure, every = panels(len(methods), 4, 14 / min(4, len(methods)), 3.4)
    for axes, method in zip(every, methods, strict=True):
        mine = table[table.method == method]
        for _, run in mine.groupby(["concept", "seed"]):
            axes.plot(run.step, run.loss, color=colour(method), alpha=0.25, linewidth=0.8)
        axes.plot(mine.groupby("step").loss.mean(), color=colour(method))
        axes.set(title=label(method), xlabel="step", ylabel="loss", yscale="log")
        axes.grid(alpha=0.3)
    return figure


CONTEXTS = {
    "text": "text only",
    "image_text": "target image\n+ text",
    "wrong_image_text": "another image\n+ text",
    "image": "target image,\nno text",
}


def probe(contexts: Sequence[str], vlms: Sequence[str]) -> Figure:
    """The probe's sheet: target pictures, then what each context made the untouched model draw from equal noise.

    vlms: the names of the encoders, the first one's rows first; text only is the same for all and shown once.
    """
    sheet = read_picture(paths.PROBE_SHEET, "dvc repro probe")
    names = ["target", *(CONTEXTS[c] for c in contexts)]
    names += [f"{CONTEXTS[c]}\n({vlm})" for vlm in vlms[1:] for c in contexts if c != "text"]
    return rows_of(sheet, names, max(1, SHOWN_SIDE // (len(sheet) // len(names))))


def recipe(folder: Path) -> Figure:
    """The loss of every part of the miniature over its training: a panel a part, a running mean over the raw losses."""
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise UserError(f"{folder}: no loss curves (*.csv)")
    figure, every = panels(len(files), 5, 3.4, 2.8)
    for axes, file in zip(every, files, strict=True):
        curve = read_csv(file, "step", "loss", "seconds")
        axes.plot(curve.step, curve.loss, color="#2566c7", alpha=0.3, linewidth=0.7)
        axes.plot(curve.step, curve.loss.rolling(9, min_periods=1, center=True).mean(), color="#2566c7")
        minutes = curve.seconds.iloc[-1] / 60
        axes.set(title=f"{file.stem}, {minutes:.1f} minutes", xlabel="step", yscale="log")
        axes.grid(alpha=0.3)
    return figure
