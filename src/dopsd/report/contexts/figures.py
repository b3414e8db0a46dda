"""The figures of a study of contexts: every context's scores, and its pictures."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dopsd.config.contexts import Contexts
from dopsd.config.params import Params
from dopsd.evaluation.rows import NEW, of_kind
from dopsd.evaluation.sheets import Sheet, kept
from dopsd.report.along import Trainings
from dopsd.report.cells import FIDELITY
from dopsd.report.contexts.names import COLOURS, look
from dopsd.report.contexts.tables import OWN, on, units, values
from dopsd.report.figures import arms
from dopsd.report.grids import TILE, picture_grid, tile
from dopsd.report.layout import dressed, panels, placed, wrapped
from dopsd.report.names import label, score_name
from dopsd.report.units import over_concepts
from dopsd.study.grid import Cell, kind
from dopsd.study.prompts import asked
from dopsd.support import paths
from dopsd.world.scenes import NAMES

TITLE = "What the untouched model draws, over what it is given"
PANELS = {
    FIDELITY: "concept fidelity",
    "adherence": "adherence to the rest\nof the prompt",
    "leaks_added": "drawn of the rest of the\npicture, less the student's",
    **{f"{OWN}{a}": f"its own {score_name(a)}" for a in NAMES},
    "blur_read": "blur, pixels",
    "contrast": "contrast (1 = renders)",
}
ROW, HEAD = 0.2, 0.75  # inches of a context in a panel, and of the panel beside that
SHEET = ("copies", "renders")  # the known pictures that stand above the drawn ones,
ABOVE = {"copies": "The picture seen", "renders": "The scene asked for"}  # and what they are there
ACROSS = 4  # prompts of a concept on the sheet
LETTERS = 16  # of a line of a row's name


def contexts(trainings: Trainings, of: Contexts, study: str, asks: str) -> Figure:
    """A panel a score, a line a context: each concept a small dot, their mean with its interval a large one. study: its name;
    asks: how many prompts and noises, in words."""
    rows = list(of.contexts)
    shown = {s: t for s, t in PANELS.items() if any(values(trainings.last(row), s) for row in rows)}
    figure, every = panels(len(shown), 3, HEAD + ROW * len(rows), sharey=True)
    for axes, (score, title) in zip(every, shown.items(), strict=True):
        n = max(_row(axes, k, row, trainings, of, score) for k, row in enumerate(rows))
        axes.set_yticks(range(len(rows)), [label(row) for row in rows])
        dressed(axes, f"{title}, n = {n}")
        axes.grid(visible=False, axis="y")
    every[0].set_ylim(len(rows) - 0.4, -0.6)  # the first row on top
    for axes in every[::3]:
        for name, row in zip(axes.get_yticklabels(), rows, strict=True):
            name.set_color(look(of.contexts[row])["color"])
    foot = (
        f"Study {study}: the untouched few-step model, {trainings.few} steps of drawing, nothing trained. The unit is the "
        "concept (n above each panel; full texts are not asked of a look without words), its few-step models averaged first; "
        f"{asks}. Large dots: means with 95 % intervals (Student's t); small dots: concepts. {COLOURS}."
    )
    placed(figure, TITLE, foot)
    return figure


def _row(axes: Axes, k: int, row: str, trainings: Trainings, of: Contexts, score: str) -> int:
    """A context's line in a panel -> how many concepts it has."""
    found = values(trainings.last(row), score)
    if not found:
        return 0
    each, how = units(trainings, row, score), look(of.contexts[row])
    number = pd.DataFrame([over_concepts(found, on(score))]).astype(float)
    axes.plot(each, [k + 0.24] * len(each), ".", color=how["color"], alpha=0.5, markersize=3.5)
    axes.errorbar(number.value, [k - 0.08], xerr=arms(number), fmt="o", markersize=5, linewidth=1.7, **how)
    return len(each)


def two(params: Params) -> list[str]:
    """The concepts of the sheet: the first object and the first style, where the study has both."""
    kinds: dict[str, str] = {}
    for concept in params.grid.concepts:
        kinds.setdefault(kind(params, concept), concept)
    return [kinds[k] for k in ("object", "style") if k in kinds] or [params.grid.concepts[0]]


def sheet(params: Params, of: Contexts, study: str) -> Figure:
    """Pictures of two concepts: a row a context, beneath what the teacher has seen and what is asked for; a column a prompt,
    which stands above it. The first prompts, of each the first noise, the first seed: none is chosen."""
    seed, concepts, side = params.grid.seeds[0], two(params), params.fetch.size
    drawn = Sheet(0, NEW, params.evaluate.few)
    titles: list[str] = []
    shown: dict[str, list[np.ndarray]] = {row: [] for row in (*SHEET, *of.contexts)}
    for concept in concepts:
        wanted = of_kind(asked(concept), NEW, seed)
        groups = [r.group for r in wanted]
        chosen = [groups.index(g) for g in list(dict.fromkeys(groups))[:ACROSS]]
        titles += [wanted[k].text for k in chosen]
        for row, pictures in shown.items():
            images = kept(paths.samples(*Cell(row, concept, seed)), drawn, wanted)
            pictures += [tile(images[k], side) for k in chosen]
    names = [wrapped(ABOVE.get(row) or label(row), LETTERS) for row in shown]
    foot = (
        f"Study {study}, {' and '.join(concepts)}, {ACROSS} prompts each; the untouched few-step model of seed {seed}, "
        f"{params.evaluate.few} steps, equal noise down a column. First row: what the teacher sees beside the prompts; "
        "second row: the target picture. Prompts stand as the student reads them."
    )
    return picture_grid(list(shown.values()), titles, names, max(1, 2 * TILE // side), title=10, foot=foot)
