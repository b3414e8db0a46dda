"""The figures. Each function takes what was measured and returns a matplotlib figure; `grids.save` writes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from dopsd.config.params import Params
from dopsd.evaluation.rows import NEW, of_kind
from dopsd.evaluation.sheets import Sheet, kept
from dopsd.evaluation.statistics import interval
from dopsd.report.cells import Key, Steps, last
from dopsd.report.grids import SCALE, TILE, picture_grid, read_picture, rows_of, tile
from dopsd.report.names import colour, label, score_name
from dopsd.sets.jsonl import read_set
from dopsd.study.prompts import asked
from dopsd.support import paths
from dopsd.support.errors import UserError
from dopsd.support.files import read_csv
from dopsd.support.pictures import from_pil

SHOWN = 3  # pictures a cell of the comparison,
SHOWN_SIDE = SCALE * TILE  # so many pixels a side


def comparison(params: Params, last: Mapping[str, int]) -> Figure:
    """The paper's figure: a row a concept; training pictures, then every method at its last step, on equal prompts and noise.

    last: the methods that are shown, and each one's last step. The first picture of a group of prompts is shown, of the first
    seed.
    """
    rows, seed, side = [], params.grid.seeds[0], min(params.fetch.size, SHOWN_SIDE)
    for concept in params.grid.concepts:
        items = read_set(paths.concept_set(concept) / "data.jsonl")[:SHOWN]
        training = [tile(from_pil(item.image()), side) for item in items]
        wanted = of_kind(asked(concept), NEW, seed)
        groups = [r.group for r in wanted]
        shown = [groups.index(g) for g in list(dict.fromkeys(groups))[:SHOWN]]
        cells = []
        for method, step in last.items():
            images = kept(paths.samples(method, concept, seed), Sheet(step, NEW, params.evaluate.few), wanted)
            cells.append(np.concatenate([tile(images[k], side) for k in shown], 1))
        rows.append([np.concatenate(training, 1), *cells])
    return picture_grid(
        rows, ["Training images", *map(label, last)], list(params.grid.concepts), scale=max(1, SHOWN_SIDE // side)
    )


def _by_method(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each method, in the table's order."""
    for method, rows in table.groupby("method", sort=False):
        yield str(method), rows


def _means(table: pd.DataFrame, by: list[str], score: str) -> pd.DataFrame:
    """Mean and interval of a score over cells, for every value of `by`."""
    groups = table.dropna(subset=[score]).groupby(by, sort=True)
    return pd.DataFrame(
        [dict(zip(by, cast(tuple, key), strict=True)) | interval(g[score].tolist()) for key, g in groups]
    )


def _arms(means: pd.DataFrame) -> np.ndarray:
    """Lengths of the error bars: none where one unit has no interval."""
    arms = [means.value - means.low.astype(float), means.high.astype(float) - means.value]
    return np.nan_to_num(np.maximum(arms, 0))


PANELS = {
    "retention_kid": "ordinary prompts: KID\nto the untouched model (lower = kept)",
    "blur_read": "new scenes: blur, pixels\n(as the reader reads it)",
    "contrast": "new scenes: contrast\n(1 = the world's renders)",
    "leakage": "ordinary prompts: concept's attributes\ndrawn unasked (untouched = chance)",
}


def fidelity_retention(table: pd.DataFrame, fidelity: str) -> Figure | None:
    """Along training, fidelity on new scenes against what is kept elsewhere: a line a method, a dot a step; None where the
    study measures none of it."""
    panels = {score: title for score, title in PANELS.items() if score in table}
    if not panels or fidelity not in table:
        return None
    table = table.dropna(subset=[fidelity])
    figure = Figure(figsize=(5 * len(panels), 4.6), layout="constrained")
    for axes, (score, title) in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels.items(), strict=True):
        for method, rows in _by_method(table.dropna(subset=[score])):
            x, y = _means(rows, ["step"], fidelity), _means(rows, ["step"], score)
            bars = {"yerr": _arms(y), "xerr": _arms(x), "capsize": 2}
            axes.errorbar(x.value, y.value, fmt="o-", color=colour(method), label=label(method), **bars)
            for step, a, b in zip(x.step, x.value, y.value, strict=True):
                if step:
                    axes.annotate(int(step), (a, b), xytext=(4, 4), textcoords="offset points", fontsize=8)
        axes.set(xlabel=f"{score_name(fidelity)} on new scenes", title=title)
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
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
            "cell": (concept, seed),
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
    drawn = long.groupby("cell").nfe.transform("nunique")
    table = (
        long[drawn == drawn.max()].pivot(index=["method", "cell", "nfe"], columns="score", values="value").reset_index()
    )
    order = {m: i for i, m in enumerate(dict.fromkeys(m for m, _, _ in cells))}
    table = table.sort_values("method", key=lambda m: m.map(order), kind="stable")
    panels = {score: title for score, title in QUALITY.items() if score in table}
    figure = Figure(figsize=(5 * len(panels), 4.4), layout="constrained")
    for axes, (score, title) in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels.items(), strict=True):
        for method, mine in _by_method(table):
            y = _means(mine, ["nfe"], score)
            bars = {"yerr": _arms(y), "capsize": 2}
            axes.errorbar(y.nfe, y.value, fmt="o-", color=colour(method), label=label(method), **bars)
        axes.set_xscale("log", base=2)
        axes.set(xlabel="steps (NFE)", title=title, xticks=sorted(table.nfe.unique()))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
    return figure


def loss(table: pd.DataFrame) -> Figure:
    """Loss curves: a panel a method (their losses are different quantities), a thin line a training, a thick mean."""
    methods = list(dict.fromkeys(table.method))
    figure = Figure(figsize=(5 * len(methods), 3.6), layout="constrained")
    for axes, method in zip(np.atleast_1d(figure.subplots(1, len(methods))), methods, strict=True):
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
    columns = 5
    figure = Figure(figsize=(3.4 * columns, 2.8 * -(-len(files) // columns)), layout="constrained")
    panels = figure.subplots(-(-len(files) // columns), columns)
    for axes in panels.flat[len(files) :]:
        axes.set_axis_off()
    for axes, file in zip(panels.flat, files, strict=False):
        curve = read_csv(file, "step", "loss", "seconds")
        axes.plot(curve.step, curve.loss, color="#2566c7", alpha=0.3, linewidth=0.7)
        axes.plot(curve.step, curve.loss.rolling(9, min_periods=1, center=True).mean(), color="#2566c7")
        minutes = curve.seconds.iloc[-1] / 60
        axes.set(title=f"{file.stem}, {minutes:.1f} minutes", xlabel="step", yscale="log")
        axes.grid(alpha=0.3)
    return figure
