"""The figures that the page shows, each with a caption that stands alone: what it is, of how many, in which unit, at which
checkpoint, with which seed; and the file of its numbers."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from dopsd.config.params import Params
from dopsd.config.questions import FILE as QUESTIONS
from dopsd.config.questions import load
from dopsd.config.section import Section, validated
from dopsd.config.yaml import mapping
from dopsd.report import palette
from dopsd.report.comparison import last_step
from dopsd.report.names import label
from dopsd.report.questions import name as question_figure
from dopsd.report.site import images
from dopsd.report.site.images import Picture
from dopsd.report.site.studies import Study, command
from dopsd.study import grid as cells_of
from dopsd.support.text import read_text

FILE = Path(__file__).with_suffix(".yaml")
NEARNESS, CLOSE = "domain_nearness", "nearness to the domain (0: the world's renders, 1: the domain's)"
QUESTION = "question"  # the kind of every question's figure
LOOK = "look"  # a concept's kind that no words describe


class Kind(Section):
    """A figure of reports/figures, as the file has it; foot: what stands in the figure itself, beneath it."""

    title: str
    foot: str = ""
    caption: str
    data: str


class Kinds(Section):
    """All of them."""

    figures: dict[str, Kind]


class Figure(NamedTuple):
    """A figure as the page shows it: its place, title, picture and caption, links to its file and its data, and the command
    that makes it."""

    id: str
    title: str
    picture: Picture
    caption: str
    file: str
    data: str
    command: str


def kinds() -> dict[str, Kind]:
    """The figures that the page shows, by their names."""
    return validated(Kinds, {"figures": mapping(read_text(FILE), str(FILE))}, str(FILE)).figures


def last(study: Study) -> str:
    """The last checkpoints in words."""
    params = study.params
    if study.chained:
        return f"After the last of {len(study.sets[0])} trainings of {params.train.steps} optimiser steps"
    steps = {m: last_step(params, m) for m in params.grid.trained}
    other = ", ".join(f"{label(m)}: {step}" for m, step in steps.items() if step != params.train.steps)
    return f"After the last of {params.train.steps} optimiser steps" + (f" ({other})" if other else "")


def unit(study: Study) -> str:
    """What is counted, in words."""
    grid = study.params.grid
    seeds, n = ", ".join(map(str, grid.seeds)), len(grid.seeds)
    each = "one on each few-step model" if study.turbos else "on one few-step model"
    trainings = (
        f"whose {n} trainings (seeds {seeds}, {each}) are averaged first"
        if n > 1
        else f"a training each (seed {seeds})"
    )
    if study.chained:
        both = f"both orders{f' on {n} few-step models' if study.turbos and n > 1 else ''}"
        sets = study.sets
        return f"The unit is the set of {len(sets[0])} concepts, n = {len(sets)}, of which {both} are averaged first."
    looks = [c for c in grid.concepts if cells_of.kind(study.params, c) == LOOK]
    words = f" ({len(grid.concepts) - len(looks)} beside the described row: no words describe {', '.join(looks)})"
    return f"The unit is the concept, n = {len(grid.concepts)}{words if looks else ''}, {trainings}."


def facts(study: Study) -> dict[str, object]:
    """What captions say of a study."""
    params = study.params
    probe, of_domains = params.probe or params.picture_probe, params.step_size.fidelity == NEARNESS
    return {
        "few": params.evaluate.few,
        "last": last(study),
        "unit": unit(study),
        "seed": params.grid.seeds[0],
        "scenes": f"{CLOSE}, Fréchet distance to it" if of_domains else "concept fidelity (a share), blur (pixels)",
        "nearness": f" {CLOSE}, Fréchet distance to it in few steps and in many guided ones;" if of_domains else "",
        "study": study.name,
        "units": study.units,
        "behind": _behind(params),
        "swept": _swept(study),
        "colours": palette.key(params.grid.methods),
        "method": label(params.compare.method),
        "baseline": label(params.compare.baseline),
        "concepts": len(params.grid.concepts),
        "probed": probe.nfe[0] if probe else "",
        "targets": params.probe.images if params.probe else "",
        "probe_seed": params.probe.seed if params.probe else "",
    }


def figure(study: Study, name: str) -> Figure | None:
    """A figure of a study; None where it has none of that name."""
    return _figure(study, name, kinds()[name])


def asked(study: Study) -> dict[str, Kind]:
    """The figures of a study's questions, by their names."""
    kind = kinds()[QUESTION]
    out = {}
    for key, q in load(study.params.grid.methods, study.folder / QUESTIONS).items():
        seen = f" Seen, and not asked before the run: {q.seen}" if q.seen else ""
        out[question_figure(key)] = kind.model_copy(update={"title": q.asks, "caption": kind.caption + seen})
    return out


def known(study: Study) -> dict[str, Kind]:
    """Every figure that a study can have, by its name."""
    return kinds() | asked(study)


def questions(study: Study) -> list[Figure]:
    """The figures of a study's questions."""
    return [f for f in (_figure(study, name, kind) for name, kind in asked(study).items()) if f]


def _swept(study: Study) -> str:
    """The unit where many numbers of steps are drawn, which only the first seed's trainings are."""
    grid = study.params.grid
    alone = f"The unit is the concept, n = {len(grid.concepts)}, a training each: seed {grid.seeds[0]} alone."
    return alone if study.params.evaluate.nfe_sweep else unit(study)


def _behind(params: Params) -> str:
    """What small multiples show, in words; "" of a pair alone."""
    both = f"{label(params.compare.baseline)} and {label(params.compare.method)}"
    rest = "in each other row one method, these two thin in colour, all others pale grey."
    return f"First row: {both}; {rest}" if len(params.grid.trained) > 2 else ""


def foot(study: Study, kind: Kind) -> str:
    """What stands beneath a figure of a study, in its file."""
    return " ".join(kind.foot.format(**facts(study)).split())


def caption(study: Study, kind: Kind) -> str:
    """What stands under a figure of a study."""
    return " ".join(kind.caption.format(**facts(study)).split())


def anchor(study: Study, name: str) -> str:
    """A figure's place in the page."""
    return f"figure-{study.name}-{name}"


def _figure(study: Study, name: str, kind: Kind) -> Figure | None:
    file = f"figures/{name}.png"
    if not study.has(file):
        return None
    text = caption(study, kind)
    picture = images.figure(study.file(file), f"{kind.title}. {text}")
    data = f"../{kind.data[1:]}" if kind.data.startswith("/") else study.link(kind.data)
    made = made_by(study, "report")
    return Figure(anchor(study, name), kind.title, picture, text, study.link(file), data, made)


def made_by(study: Study, stage: str) -> str:
    """The command that makes what a stage of a study writes."""
    whole = command(study.folder)
    return f"{whole}:{stage}" if study.folder.name else f"{whole} {stage}"
