"""REPORT.md: a template filled from the files of scores. No number is written by hand."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pandas as pd

from dopsd.config.params import Params
from dopsd.config.questions import Question
from dopsd.config.study import Compared
from dopsd.report import claimed, claims_page, floor, front, predicted, questions, reported, sections
from dopsd.report import miniature as card
from dopsd.report.figures import CONTEXTS
from dopsd.report.miniature import spelled
from dopsd.report.names import label
from dopsd.report.tables import number_text
from dopsd.study import grid as cells_of
from dopsd.support import markdown
from dopsd.support.files import numbers_table

TEMPLATE = Path(__file__).with_name("report.md.j2")
LEDGER = Path(__file__).with_name("claims.md.j2")
NEGATIVE = Path(__file__).with_name("negative.md.j2")
CARD = Path(__file__).with_name("miniature.md.j2")


def verdict(table: pd.DataFrame, score: str, compare: Compared, what: str, higher_is: str, lower_is: str) -> str:
    """One sentence on the method's paired difference to the baseline, which says so where the interval holds 0."""
    who, other = label(compare.method), label(compare.baseline)
    row = table.loc[(table.score == score) & (table.method == compare.method)]
    if row.empty or "difference" not in row or row.difference.isna().all():
        return f"{who}: no difference of {what} to {other} was measured."
    d, low, high = (float(row[c].iloc[0]) for c in ("difference", "difference_low", "difference_high"))
    span = number_text(d, low, high, sign=True)
    if pd.isna(low):
        return f"{who} against {other}, {what}: {span}, one cell, so without an interval."
    told = "no difference is shown (the interval holds 0)" if low <= 0 <= high else higher_is if d > 0 else lower_is
    return f"{who} against {other}, {what}: {span}, {told}."


def probe_table(scores: dict, naming: dict) -> str:
    """The probe's scores with one VLM in so many steps: a row an attribute, a column a context, and beside them what is
    named of the picture and the share of it that is drawn (the paper's in-context ability, against the eye's own)."""
    rows = {
        CONTEXTS[context].replace("\n", " "): {a: spelled(v) for a, v in row.items()} for context, row in scores.items()
    }
    if naming:
        rows["named"] = {a: spelled(v) for a, v in naming.items()}
        drawn = scores["image_text"]
        rows["drawn / named"] = {  # an eye that never names an attribute rightly gives nothing to divide by
            a: f"{drawn[a]['value'] / v['value']:.2f}" if v["value"] else "-" for a, v in naming.items()
        }
    return pd.DataFrame(rows).fillna("").to_markdown(disable_numparse=True)


def better_than_controls(scores: dict, lower: Container[str] = ()) -> list[str]:
    """The attributes, or scores of pictures, where [target image + text] is better than text only and [another image + text],
    intervals apart. lower: the scores of which less is better."""
    seen, controls = scores["image_text"], (scores["text"], scores["wrong_image_text"])

    def apart(name: str, control: dict) -> bool:
        if name not in control:  # of few pictures no wrong one may show it
            return False
        worse, better = (seen[name], control[name]) if name in lower else (control[name], seen[name])
        return better["low"] is not None and better["low"] > worse["high"]

    return [a for a in seen if a != "mean" and all(apart(a, c) for c in controls)]


def probes(scores: dict, naming: dict, lower: Container[str] = ()) -> list[dict]:
    """The probe of every VLM and number of steps, for the template: {vlm, nfe, table, above}."""
    return [
        {"vlm": vlm, "nfe": n, "table": probe_table(at, naming.get(vlm, {})), "above": better_than_controls(at, lower)}
        for vlm, by_nfe in scores.items()
        for n, at in by_nfe.items()
    ]


def filled(template: Path, **values) -> str:
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters |= markdown.FILTERS
    return environment.from_string(template.read_text(encoding="utf-8")).render(**values)


def miniature_card(scores: dict, degradations: pd.DataFrame) -> str:
    """MINIATURE.md, filled from what the stage `miniature` wrote."""
    return filled(
        CARD,
        bars=card.bars_table(scores),
        degradations=card.degradations_table(degradations),
        tables={name: of(scores) for name, of in card.TABLES.items()},
        numbers=numbers_table(scores),
    )


@dataclass(frozen=True)
class Results:
    """What a report is made of: tables as the stage wrote them, and the files of scores.

    table: `tables.summary`; pairs: `pairs.pairs`; records, controls: claims.json and controls.json; power, concepts, costs:
    the tables of these names; openness: likewise, None where all prompts say equally much; front, reported: likewise, None
    where there are too few methods; teacher: likewise, None where no such row is; floor: likewise, None where trainings
    answer prompts of their own; questions: of questions.yaml; differences: theirs; probe, miniature: the files of scores of
    these names, None where the study has none; devices: what the cells ran on; lower: the scores of which less is better;
    figures: those that there are; random_weights: whether the model has never been trained.
    """

    table: pd.DataFrame
    pairs: pd.DataFrame
    records: claimed.Records
    controls: claimed.Controls
    power: pd.DataFrame
    concepts: pd.DataFrame
    costs: pd.DataFrame
    openness: pd.DataFrame | None
    front: pd.DataFrame | None
    teacher: pd.DataFrame | None
    reported: pd.DataFrame | None
    floor: pd.DataFrame | None
    questions: Mapping[str, Question]
    differences: pd.DataFrame
    probe: dict | None
    miniature: dict | None
    devices: list[str]
    lower: Container[str]
    figures: set[str]
    random_weights: bool


def sentences(table: pd.DataFrame, params: Params) -> list[str]:
    """What the method does less its baseline at the last step, a sentence a score that the study has."""
    few, compare = params.evaluate.few, params.compare
    fidelity = params.step_size.fidelity
    asked = {
        fidelity: ("fidelity on new scenes", "higher", "lower"),
        "blur_read": ("pixels of blur on new scenes", "more blurred", "sharper"),
        "contrast": ("contrast on new scenes", "more", "less"),
        "few_step_blur_read": ("blur in few steps less in many", "a wider gap", "a narrower gap"),
        f"retention_kid@{few}": (f"distance to the untouched model at {few} NFE", "farther", "nearer"),
        "binding": ("binding of the name", "more", "less"),
        f"leakage@{few}": ("leakage", "leaks more", "leaks less"),
    }
    known = set(table.score)
    return [verdict(table, score, compare, *how) for score, how in asked.items() if score in known or score == fidelity]


def ledger(records: claimed.Records, controls: claimed.Controls, params: Params, sets: int = 0) -> str:
    """CLAIMS.md: every claim, its number, its controls and the history of its bar. sets: how many sets of concepts are the
    units, where these are taught one after another; 0: the concepts are."""
    turbos = bool(params.grid.turbos)
    families = claims_page.families(records, controls, turbos, "sets" if sets else "concepts")
    counts = claims_page.counts(records) if records else "Nothing is asked: the study has no `claims.yaml`."
    return filled(LEDGER, counts=counts, families=families, grid=params.grid, sets=sets)


def negative(records: claimed.Records, controls: claimed.Controls, params: Params) -> str:
    """NEGATIVE.md: the claims that do not hold or cannot be decided."""
    return filled(NEGATIVE, records=records, negatives=claimed.negatives(records, controls, bool(params.grid.turbos)))


def report(results: Results, params: Params) -> str:
    """REPORT.md: the template, filled."""
    few, many, compare, grid = params.evaluate.few, params.evaluate.many, params.compare, params.grid
    naming = results.miniature["naming"] if results.miniature else {}
    methods, turbos = cells_of.methods(params), bool(grid.turbos)
    several, differences = len(grid.trained) > 2, sections.differences(results.pairs, compare.baseline)
    rows = [m for m in grid.methods if not several or m in (*grid.references, compare.method, compare.baseline)]
    records, controls, paper = results.records, results.controls, reported.which(params)
    return filled(
        TEMPLATE,
        sentences=sentences(results.table, params),
        claims=claimed.tables(records, controls, turbos),
        commits=claimed.commits(records),
        negatives=claimed.negatives(records, controls, turbos),
        summary=sections.summary(results.table, rows, few),
        matched=sections.side_by_side(results.pairs, compare.method, compare.baseline, few, many),
        differences={k: v for k, v in differences.items() if several or k != sections.PLACES["fidelity"]},
        one_at_a_time=sections.one_at_a_time(results.table, params, methods, few) if several else "",
        openness="" if results.openness is None else sections.openness(results.openness),
        front=[] if results.front is None else front.in_words(results.front),
        predicted=[] if results.teacher is None else predicted.in_words(results.teacher),
        by_attribute="" if results.teacher is None else predicted.by_attribute(results.teacher),
        reported="" if results.reported is None else reported.in_words(results.reported, paper),
        orders=[] if results.reported is None else reported.orders(results.reported, paper),
        paper=reported.load(paper),
        floor={} if results.floor is None else floor.in_words(results.floor, compare.baseline),
        concepts=sections.concepts(results.concepts),
        costs=sections.costs_markdown(results.costs, compare.baseline),
        power="" if results.power.empty else claimed.power(results.power),
        probes=probes(results.probe, naming, results.lower) if results.probe else [],
        turbos=[Path(turbo).name for turbo in grid.turbos],
        sheets="sheets" in results.figures,
        questions=questions.in_words(
            results.questions,
            results.figures,
            results.table,
            results.differences,
            few,
            records,
            controls,
            turbos,
        ),
        params=params,
        grid=grid,
        few=few,
        many=many,
        label=label,
        results=results,
    )
