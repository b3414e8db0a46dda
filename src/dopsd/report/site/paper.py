"""What the paper says beside what is measured here, a line a headline claim: from the ledgers and the paper's tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from dopsd.config.questions import FILE as QUESTIONS
from dopsd.config.questions import load
from dopsd.report import reported
from dopsd.report.claimed import PLACES, measured
from dopsd.report.names import SCORES, label, score_name
from dopsd.report.questions import name as question_figure
from dopsd.report.site import captions, opening, places
from dopsd.report.site.studies import Study

HEADLINES = {  # a study's claims that the paper makes, too
    "full": (
        "learns",
        "baseline-loses-contrast",
        "method-keeps-contrast",
        "baseline-blurs",
        "sharper",
        "hidden-in-many-steps",
        "smaller-gap",
        "follows",
        "method-keeps-ordinary",
        "states",
        "base-lora-keeps-few-steps",
        "base-lora-loses-identity",
        "dreambooth-fogs",
        "pso-copies",
        "pso-forgets-the-prompt",
    ),
    "questions": (
        "live-collapses",
        "frozen-is-stable",
        "frozen-learns-less",
        "fast-average-keeps-less",
        "x0-is-faster",
    ),
    "rewrites": (
        "baseline-copies",
        "method-copies-not",
        "pso-copies-rewritten",
    ),
    "eight": (
        "baseline-fogs-in-eight",
        "method-keeps-contrast-in-eight",
        "states-in-eight",
    ),
    "base": ("no-few-steps-to-lose",),
    "pictures": ("dopsd-keeps-few-steps-on-one",),
    "contexts": (
        "picture-teaches",
        "target-keeps-contrast",
        "target-stays-sharp",
    ),
    "domain": (
        "sft-loses-the-domain-in-few-steps",
        "dopsd-keeps-the-domain-in-few-steps",
        "dopsd-is-nearer-in-few-steps",
        "dopsd-keeps-old-prompts",
        "dopsd-keeps-more-of-old-prompts",
    ),
    "domain-words": (
        "sft-loses-the-domain-in-few-steps",
        "dopsd-keeps-the-domain-in-few-steps",
        "dopsd-is-nearer-in-few-steps",
        "dopsd-keeps-more-contrast",
        "dopsd-keeps-old-prompts",
        "states",
    ),
    "domain-open": ("dopsd-is-nearer-in-few-steps",),
    "continual": (
        "keeps-few-steps-after-three",
        "first-remains",
    ),
    "zimage": (
        "learns",
        "nearer",
        "baseline-loses-quality",
        "method-keeps-quality",
        "better",
        "follows",
        "keeps-ordinary",
        "states",
        "base-lora-keeps-quality",
        "base-lora-loses-identity",
        "dreambooth-loses-quality",
        "pso-copies",
        "pso-forgets-the-prompt",
    ),
}
OTHER_MODEL = ("base",)  # studies of a model that the paper's tables do not have
NOT_RUN = {  # a study whose table stands in the paper: which that is, and the score that is told where it has not been run
    "domain": ("full", "domain_frechet"),
    "zimage": ("lora, pictures", "reward"),
}
ASKS = {  # a claim's score: the one of which `reported.yaml` says what the paper's table has of it
    "fidelity_gain": "concept_fidelity",
    "contrast_kept": "contrast",
    "blur_added": "contrast",
    "domain_frechet": "domain_frechet",
    "concept_fidelity": "concept_fidelity",
    "adherence": "adherence",
    "judge": "judge",
    "dino_distance": "dino_distance",
    "clip_score": "clip_score",
    "reward": "reward",
}


class Line(NamedTuple):
    """study: its name; anchor: the claim's place in the ledger, "" of a study that has not been run; seen: the figure whose
    caption says what was seen beside the claim, or ""."""

    study: str
    anchor: str
    claim: str
    paper: str
    measured: str
    unit: str
    where: str
    verdict: str
    seen: str = ""


def numbers(of: str, score: str, rows: tuple[str, ...]) -> str:
    """What the paper's table has of a claim's score and rows, in words; "" where it lacks it of one of them."""
    said = reported.load(of)
    name = next((n for n, column in said.columns.items() if column.here == ASKS.get(score)), None)
    if name is None or any(name not in said.rows.get(row, {}) for row in rows):
        return ""
    return f"{name}: " + ", ".join(f"{label(row)} {said.rows[row][name]:g}" for row in rows)


def _rows(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The rows whose numbers a claim is about; of one row's own the untouched model's, too."""
    own = {"method": (record["method"], "untouched"), "baseline": (record["baseline"], "untouched")}
    return own.get(record["of"], (record["method"], record["baseline"]))


def _line(study: Study, record: Mapping[str, Any], seen: Mapping[str, str]) -> Line:
    known = study.name not in OTHER_MODEL
    given = numbers(reported.which(study.params), record["score"], _rows(record)) if known else ""
    unit = SCORES.get(record["score"], score_name(record["score"]))
    where = f"{places.place(record['score'])}; {PLACES[record['at']]}; {record['n_units']} {study.units}"
    return Line(
        study.name,
        opening.anchor(study, record),
        record["claim"],
        f"{record['paper']} ({given})" if given else record["paper"],
        measured(record),
        unit.removeprefix("kept: ").removeprefix(f"{places.SCENES}: "),
        where,
        opening.told(record["verdict"], record),
        seen.get(record["family"], ""),
    )


def lines(study: Study, stands_for: str) -> list[Line]:
    """A study's headline claims, in the order of `HEADLINES`; [] where it has none. stands_for: whose they are, its own name
    or that of a study that has not been run."""
    known = {record["id"]: record for record in study.records}
    asked = load(study.params.grid.methods, study.folder / QUESTIONS)
    seen = {key: captions.anchor(study, question_figure(key)) for key, question in asked.items() if question.seen}
    with study.called():
        return [_line(study, known[name], seen) for name in HEADLINES.get(stands_for, ()) if name in known]


def not_run(name: str, about: str) -> list[Line]:
    """The line of a study with headline claims that has not been run; [] of another."""
    if name not in HEADLINES:
        return []
    given = numbers(*NOT_RUN[name], ("sft", "dopsd", "untouched")) if name in NOT_RUN else ""
    return [Line(name, "", about, given, "", "", "", "not run")]
