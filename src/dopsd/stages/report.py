"""Stage `report`: tables, figures and REPORT.md from the long table; the grid comes from params.yaml, never from a glob."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from dopsd import objectives
from dopsd.backbones.hub import has_random_weights
from dopsd.config import claims as asked_of
from dopsd.config import questions as questions_of
from dopsd.config.claims import Claim
from dopsd.config.params import Params, load
from dopsd.config.questions import Question
from dopsd.report import (
    answers,
    charts,
    claims,
    comparison,
    figures,
    floor,
    front,
    grids,
    layout,
    ledger,
    openness,
    page,
    pairs,
    predicted,
    questions,
    reported,
    sections,
    sheets,
    tables,
)
from dopsd.report import cells as flat_cells
from dopsd.report.along import Trainings
from dopsd.report.cells import Key, Steps
from dopsd.report.claims import Answer
from dopsd.report.headline import headline
from dopsd.report.names import REFERENCES, called_as_in, labels
from dopsd.report.power import power
from dopsd.report.site import captions
from dopsd.report.site.studies import Study, here
from dopsd.stages._run import run
from dopsd.study import grid as cells_of
from dopsd.study.keys import panel
from dopsd.study.prompts import asked
from dopsd.support import paths, sealed
from dopsd.support.errors import UserError
from dopsd.support.files import read_csv, read_json, read_table, write_csv, write_json, write_text

SHEETS = "sheets"  # of reports/figures: the folder of the concepts' pictures


def devices(params: Params) -> list[str]:
    """What the cells of the tables ran on, each once: trainings, drawings and scores."""
    folders = [paths.adapters(*c) for c in cells_of.trained(params.grid)]
    folders += [paths.samples(*c) for c in cells_of.drawn(params.grid, bool(asked(paths.ORDINARY)))]
    folders += [paths.scores(*c) for c in cells_of.scored(params.grid)]
    return sorted({sealed.facts(folder)["device"] for folder in folders})


def complete(table: pd.DataFrame, params: Params) -> None:
    """UserError where the long table lacks a cell of the grid."""
    there = set(table[["method", "concept", "seed"]].itertuples(index=False, name=None))
    for cell in cells_of.scored(params.grid):
        if tuple(cell) not in there:
            raise UserError(f"{paths.TABLE}: no scores of {cell.name}; run `dvc repro`")


def trainings_of(params: Params, cells: dict) -> Trainings:
    """The cells along training, with what a step of each method costs."""
    forwards = {name: method.needs.forwards for name, method in cells_of.methods(params).items()}
    return Trainings(cells, params.grid.trained, params.step_size.fidelity, params.evaluate.few, forwards)


def answered(params: Params, trainings: Trainings, kinds: dict[str, str]) -> tuple[list[Claim], list[Answer]]:
    """The claims of claims.yaml, and their answers. A row that this study leaves out is one that it does not measure."""
    rows = {*params.methods, *params.grid.methods, *REFERENCES, *objectives.names()}
    found = asked_of.load(rows=rows)
    turbos = bool(params.grid.turbos)
    return list(found), claims.answers(found, trainings, kinds, params.compare, turbos)


@dataclass(frozen=True)
class Measured:
    """What a study measured. long: the long table of scores; cells, others: `cells.flat`'s, at the main openness and at each
    other; beside: `openness.beside`'s; kinds: concept -> what it is; questions: questions.yaml's; found: the claims,
    answered."""

    long: pd.DataFrame
    cells: dict[Key, Steps]
    others: openness.Others
    beside: dict[Key, Steps]
    kinds: dict[str, str]
    trainings: Trainings
    questions: Mapping[str, Question]
    asked: list[Claim]
    found: list[Answer]


def measured(params: Params) -> Measured:
    """The long table, read as cells, and the claims, answered from it."""
    long, few, many = read_table(paths.TABLE), params.evaluate.few, params.evaluate.many
    complete(long, params)
    cells, others = flat_cells.flat(long, few, many), openness.others(long, few, many)
    kinds = {concept: cells_of.kind(params, concept) for concept in params.grid.concepts}
    wanted = reported.asked(reported.which(params)) | {claim.score for claim in asked_of.load()}
    beside = openness.beside(cells, others, wanted)
    trainings = trainings_of(params, beside)
    asks = questions_of.load(params.grid.methods)
    return Measured(long, cells, others, beside, kinds, trainings, asks, *answered(params, trainings, kinds))


def write_claims(found: list[Answer]) -> tuple[list[dict], dict[str, list[dict]]]:
    """Write reports/claims.json and reports/controls.json -> what is in them."""
    committed = ledger.committed([answer.claim.id for answer in found])
    records, controls = answers.records(found, committed), answers.controls(found)
    for name, what in (("claims", records), ("controls", controls)):
        write_text(json.dumps(what, indent=1, ensure_ascii=False) + "\n", Path(f"reports/{name}.json"))
    return records, controls


def write_tables(params: Params, study: Measured) -> dict[str, pd.DataFrame]:
    """Write reports/tables -> {name: table}."""
    grid, few, many, cells = params.grid, params.evaluate.few, params.evaluate.many, study.cells
    baseline = params.compare.baseline
    table, summary = tables.comparison(cells, study.kinds, few), tables.summary(cells, baseline)
    baselines = [baseline, *(claim.baseline for claim in study.asked if claim.baseline)]
    side_by_side = pairs.pairs(study.trainings, baselines)
    written = {
        "comparison": table,
        "pairs": side_by_side,
        "matched": pairs.matched(side_by_side, baseline),
        "trajectory": tables.trajectory(table, few),
        "summary": summary,
        "concepts": tables.concepts(cells, study.kinds, few),
        "loss": tables.losses(grid.trained, grid.concepts, grid.seeds),
        "claims": answers.table(study.found),
        "power": power(study.found),
        "costs": sections.costs(params, cells_of.methods(params), read_json(paths.STEP_SIZE)),
    }
    if len(grid.trained) > 2:
        written["front"] = front.table(study.trainings, params.step_size.fidelity)
    seen = predicted.asked(grid.references, grid.trained, (params.compare.method, baseline))
    teacher = predicted.table(study.trainings, seen, study.kinds, params.step_size.fidelity)
    if not teacher.empty:
        written["teacher"] = teacher
    of_all = tables.summary(study.beside, baseline)
    if (beside := reported.table(of_all, reported.which(params))).row.nunique() >= reported.SHOWN:
        written["reported"] = beside
    prompts = {row.id: row for concept in grid.concepts for row in asked(concept)}.values()
    if floor.crossed(prompts):
        written["floor"] = floor.table(study.long, prompts, summary, baseline, few)
    if study.questions:
        written["questions"] = questions.differences(study.questions, study.trainings)
    if study.others:
        written["openness"] = openness.openness(cells, study.others, params.prompts.said, few)
    for name, rows in written.items():
        write_csv(rows, paths.TABLES / f"{name}.csv")
    called = labels(dict.fromkeys(summary.score), few, many)
    text = tables.summary_markdown(summary, called, baseline, tables.left_out(cells))
    write_text(text, paths.TABLES / "summary.md")
    return written


def drawn(params: Params, of: Study, study: Measured, written: Mapping[str, pd.DataFrame]) -> dict[str, Figure | None]:
    """The charts by their names; None where the study has no numbers for one."""
    grid, few, compare, fidelity = params.grid, params.evaluate.few, params.compare, params.step_size.fidelity
    plain = [row for row in ("base", "untouched") if row in grid.references]
    pair = (compare.method, compare.baseline)
    out = {
        "methods": charts.methods(study.trainings, grid.methods, study.found, fidelity),
        "trajectory": charts.trajectory(study.trainings, fidelity, pair),
        "trajectory_forwards": charts.trajectory(study.trainings, fidelity, pair, "forwards"),
        "front": front.figure(written["front"], study.trainings, grid.methods, fidelity, pair)
        if "front" in written
        else None,
        "teacher": predicted.figure(written["teacher"]) if "teacher" in written else None,
        "openness": charts.openness(
            study.cells, study.others, params.prompts.said, few, [*plain, compare.baseline, compare.method]
        ),
        "fidelity_retention": figures.fidelity_retention(written["comparison"], fidelity, grid.trained, pair),
        "nfe": figures.nfe(study.cells, grid.trained, pair),
        "loss": figures.loss(written["loss"]),
    }
    for key, question in study.questions.items():
        out[questions.name(key)] = questions.figure(question, study.trainings, fidelity)
    if params.miniature:
        out["recipe"] = figures.recipe(Path("docs/curves"))
    known = captions.known(of)
    for name, figure in out.items():
        if figure:
            layout.placed(figure, known[name].title, captions.foot(of, known[name]))
    return out


def pictured(params: Params, of: Study, vlms: list[str]) -> dict[str, Figure]:
    """The figures that hold pictures, by their names."""
    out = {"comparison": comparison.comparison(params, of.name)}
    feet = {name: captions.foot(of, kind) for name, kind in captions.known(of).items()}
    if probed := params.probe or params.picture_probe:
        out["probe"] = figures.probe(probed.contexts, vlms, feet["probe"])
    if params.miniature:
        out |= {f"prompts-said-{said}": sheets.prompts(said) for said in sheets.SAID}
        out["names"] = sheets.names(feet["names"])
    return out


def draw_figures(params: Params, study: Measured, written: Mapping[str, pd.DataFrame], vlms: list[str]) -> set[str]:
    """Write reports/figures: those that the study has numbers for -> their names, and "sheets"."""
    of = here(params)
    found = drawn(params, of, study, written) | pictured(params, of, vlms)
    for name, figure in found.items():
        file = paths.FIGURES / f"{name}.png"
        if figure:
            grids.save(figure, file)
        else:
            file.unlink(missing_ok=True)
    for concept in params.grid.concepts:
        grids.save(comparison.sheet(params, concept, of.name), paths.FIGURES / SHEETS / f"{concept}.png")
    write_csv(comparison.prompts(params), paths.FIGURES / SHEETS / "prompts.csv")
    for file in (paths.FIGURES / SHEETS).glob("*.png"):  # of a concept that the study had once
        if file.stem not in params.grid.concepts:
            file.unlink()
    return {name for name, figure in found.items() if figure} | {SHEETS}


def write_report(params: Params) -> Path:
    """Write reports/tables, reports/figures, reports/*.json and reports/REPORT.md -> the last."""
    study = measured(params)
    written = write_tables(params, study)
    records, controls = write_claims(study.found)
    probe = read_json(paths.METRICS / "probe.json") if params.probe or params.picture_probe else None
    miniature = read_json(paths.METRICS / "miniature.json") if params.miniature else None
    few, fidelity = params.evaluate.few, params.step_size.fidelity
    numbers = headline(written["summary"], written["matched"], probe, params.compare, few, fidelity)
    write_json(numbers, paths.SUMMARY)
    results = page.Results(
        table=written["summary"],
        pairs=written["pairs"],
        records=records,
        controls=controls,
        power=written["power"],
        concepts=written["concepts"],
        costs=written["costs"],
        openness=written.get("openness"),
        front=written.get("front"),
        teacher=written.get("teacher"),
        reported=written.get("reported"),
        floor=written.get("floor"),
        questions=study.questions,
        differences=written.get("questions", pd.DataFrame()),
        probe=probe,
        miniature=miniature,
        devices=devices(params),
        lower={name for name, what in panel(params).scores.items() if what.better == "lower"},
        figures=draw_figures(params, study, written, list(probe or {})),
        random_weights=has_random_weights(params.backbone.model),
    )
    report = Path("reports/REPORT.md")
    write_text(page.report(results, params), report)
    write_text(page.ledger(records, controls, params), Path("reports/CLAIMS.md"))
    write_text(page.negative(records, controls, params), Path("reports/NEGATIVE.md"))
    if miniature:
        degraded = read_csv(paths.TABLES / "degradations.csv")
        write_text(page.miniature_card(miniature, degraded), Path("reports/MINIATURE.md"))
    return report


def main() -> None:
    """Write the report and what it is made of, and show the summary."""
    params = load()
    with called_as_in({name: objectives.method(name, params.methods, params.where) for name in params.methods}):
        report = write_report(params)
    print((paths.TABLES / "summary.md").read_text(encoding="utf-8") + f"\nThe report: {report}")


if __name__ == "__main__":
    run(main)
