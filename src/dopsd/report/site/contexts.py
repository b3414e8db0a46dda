"""What the page tells of a study of contexts, which trains nothing: its rows' names, its tables, its figures."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import pandas as pd
from markupsafe import Markup

from dopsd.config import contexts
from dopsd.config.contexts import Contexts
from dopsd.evaluation.seen import KNOWN
from dopsd.report.contexts import names, tables
from dopsd.report.site import captions, images, places, render
from dopsd.report.site.captions import Figure, Kind
from dopsd.report.site.studies import Study, command
from dopsd.support.errors import UserError

TABLE = "tables/contexts.csv"
FEW = ("concept fidelity", "adherence to the rest", "of the seen picture, beside the concept", "contrast (1 = renders)")
FIGURES = {
    "contexts": Kind(
        title="What the untouched model draws, over what it is given",
        caption="A panel a score of new scenes in {few} steps: concept fidelity, adherence (shares), how much of the seen "
        "picture beside the concept is drawn where the prompt leaves it open, less the student's share of it; the concept's "
        "own attributes; blur (pixels) and contrast (1: as renders, not over described). Nothing is trained. Large dots: "
        "means over the concepts, few-step models averaged first, with 95 % intervals (n above each panel); small: concepts.",
        data=TABLE,
    ),
    "sheet": Kind(
        title="The same in pictures",
        caption="An object and a style, from equal noise down a column, in {few} steps without guidance, by the few-step "
        "model of seed {seed}; first the picture that the teacher sees, then the scene that is asked for. None is chosen.",
        data="tables/concepts.csv",
    ),
}


def of(study: Study) -> Contexts | None:
    """The contexts that a study asks about; None of a study that asks about none."""
    file = study.folder / contexts.FILE
    return contexts.load(file) if file.exists() else None


def called(study: Study) -> AbstractContextManager[None]:
    """Within it rows are called as the study calls them, contexts, too."""
    asked = of(study)
    return study.called() if asked is None else names.called(asked.contexts)


def figure(study: Study, name: str) -> Figure:
    """One of `FIGURES`. UserError where the study lacks its file."""
    kind, file = FIGURES[name], f"figures/{name}.png"
    if not study.has(file):
        raise UserError(f"{study.file(file)}: missing; run `{command(study.folder)}`")
    text = captions.caption(study, kind)
    picture = images.figure(study.file(file), f"{kind.title}. {text}")
    made, data = captions.made_by(study, "report"), study.link(kind.data)
    return Figure(captions.anchor(study, name), kind.title, picture, text, study.link(file), data, made)


def headline(study: Study, rows: list[str]) -> Markup:
    """The means of these rows, its further scores folded."""
    text = tables.headline(_numbers(study), rows)
    return render.narrow(text, FEW, {head: f"{places.SCENES}: {head}" for head in tables.HEADLINE.values()}, study.link)


def section(study: Study, asked: Contexts) -> dict[str, Any]:
    """What the page says of such a study beside its ledger."""
    rows, found = list(asked.contexts), _numbers(study)
    return {
        "unit": f"The unit is the concept, n = {len(study.params.grid.concepts)}, whose few-step models are averaged first.",
        "headline": headline(study, rows),
        "known": headline(study, list(KNOWN)),
        "attributes": render.html(tables.attributes(found, rows), study.link),
        "torn": render.html(tables.torn(found, rows), study.link),
        "shown": [figure(study, name) for name in FIGURES],
    }


def _numbers(study: Study) -> pd.DataFrame:
    """Its table. UserError where it is missing."""
    if (found := study.table("contexts")) is None:
        raise UserError(f"{study.file(TABLE)}: missing; run `{command(study.folder)}`")
    return found
