"""Stage `report`: tables, figures and REPORT.md from the long table; the grid comes from params.yaml, never from a glob."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from dopsd import objectives
from dopsd.backbones.hub import has_random_weights
from dopsd.config import claims as asked_of
from dopsd.config.claims import Claim
from dopsd.config.params import Params, load
from dopsd.report import answers, claims, figures, grids, ledger, openness, page, pairs, sheets, tables
from dopsd.report import cells as flat_cells
from dopsd.report.along import Trainings
from dopsd.report.claims import Answer
from dopsd.report.headline import headline
from dopsd.report.names import REFERENCES, labels
from dopsd.report.power import power
from dopsd.stages._run import run
from dopsd.study import grid as cells_of
from dopsd.study.keys import panel
from dopsd.study.prompts import asked
from dopsd.support import paths, sealed
from dopsd.support.errors import UserError
from dopsd.support.files import read_csv, read_json, read_table, write_csv, write_json, write_text
from dopsd.world.outside import OUTSIDE


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
    rows = {**dict.fromkeys([*params.grid.methods, *params.methods, *objectives.names()]), **REFERENCES}
    found = asked_of.load(rows=rows)
    turbos = bool(params.grid.turbos)
    return list(found), claims.answers(found, trainings, kinds, params.compare, turbos)


def write_claims(found: list[Answer]) -> None:
    """Write reports/claims.json and reports/controls.json."""
    committed = ledger.committed([answer.claim.id for answer in found])
    for name, what in (("claims", answers.records(found, committed)), ("controls", answers.controls(found))):
        write_text(json.dumps(what, indent=1, ensure_ascii=False) + "\n", Path(f"reports/{name}.json"))


def write_tables(params: Params, cells: dict, others: openness.Others) -> tuple[pd.DataFrame, ...]:
    """Write reports/tables, claims.json and controls.json -> (comparison, summary, matched, claims). others: the cells at
    each other openness."""
    grid, few, many = params.grid, params.evaluate.few, params.evaluate.many
    baseline = params.compare.baseline
    kinds = {c: params.fetch.kind(c) or OUTSIDE[c].kind for c in grid.concepts}
    table, summary = tables.comparison(cells, kinds, few), tables.summary(cells, baseline)
    trainings = trainings_of(params, openness.beside(cells, others))
    asked, found = answered(params, trainings, kinds)
    side_by_side = pairs.pairs(trainings, [baseline, *(claim.baseline for claim in asked if claim.baseline)])
    written = {
        "comparison": table,
        "pairs": side_by_side,
        "matched": pairs.matched(side_by_side, baseline),
        "trajectory": tables.trajectory(table, few),
        "summary": summary,
        "concepts": tables.concepts(cells, kinds, few),
        "loss": tables.losses(grid.trained, grid.concepts, grid.seeds),
        "claims": answers.table(found),
        "power": power(found),
    }
    if others:
        written["openness"] = openness.openness(cells, others, params.prompts.said, few)
    for name, rows in written.items():
        write_csv(rows, paths.TABLES / f"{name}.csv")
    write_claims(found)
    called = labels(dict.fromkeys(summary.score), few, many)
    text = tables.summary_markdown(summary, called, baseline, tables.left_out(cells))
    write_text(text, paths.TABLES / "summary.md")
    return table, summary, written["matched"], written["claims"]


def draw_figures(params: Params, cells: dict, table: pd.DataFrame, vlms: list[str]) -> set[str]:
    """Write reports/figures: those that the study has numbers for -> their names."""
    grid = params.grid
    last = {m: params.train.steps if m in grid.trained else 0 for m in grid.methods if m != "described"}
    drawn = {
        "comparison": figures.comparison(params, last),
        "fidelity_retention": figures.fidelity_retention(table, params.step_size.fidelity),
        "nfe": figures.nfe(cells),
        "loss": figures.loss(tables.losses(grid.trained, grid.concepts, grid.seeds)),
    }
    if probed := params.probe or params.picture_probe:
        drawn["probe"] = figures.probe(probed.contexts, vlms)
    if params.miniature:
        drawn |= {f"prompts-said-{said}": sheets.prompts(said) for said in sheets.SAID}
        drawn |= {"names": sheets.names(), "recipe": figures.recipe(Path("docs/curves"))}
    for name, figure in drawn.items():
        file = paths.FIGURES / f"{name}.png"
        if figure:
            grids.save(figure, file)
        else:
            file.unlink(missing_ok=True)
    return {name for name, figure in drawn.items() if figure}


def main() -> None:
    """Write reports/tables, reports/figures, reports/summary.json and reports/REPORT.md, and show the summary."""
    params = load()
    long = read_table(paths.TABLE)
    complete(long, params)
    cells = flat_cells.flat(long, params.evaluate.few, params.evaluate.many)
    others = openness.others(long, params.evaluate.few, params.evaluate.many)
    table, summary, matched, claimed = write_tables(params, cells, others)
    probe = read_json(paths.METRICS / "probe.json") if params.probe or params.picture_probe else None
    miniature = read_json(paths.METRICS / "miniature.json") if params.miniature else None
    trained, few = params.grid.trained, params.evaluate.few
    fidelity, baseline = params.step_size.fidelity, params.compare.baseline
    write_json(headline(summary, matched, probe, trained, few, fidelity, baseline), paths.SUMMARY)
    shown = draw_figures(params, cells, table, list(probe or {}))
    random = has_random_weights(params.backbone.model)
    sizes, ran_on = read_json(paths.STEP_SIZE), devices(params)
    lower = {name for name, what in panel(params).scores.items() if what.better == "lower"}
    results = page.Results(summary, matched, claimed, sizes, probe, miniature, ran_on, lower, shown, random)
    report = Path("reports/REPORT.md")
    write_text(page.report(results, params), report)
    if miniature:
        degraded = read_csv(paths.TABLES / "degradations.csv")
        write_text(page.miniature_card(miniature, degraded), Path("reports/MINIATURE.md"))
    print((paths.TABLES / "summary.md").read_text(encoding="utf-8") + f"\nThe report: {report}")


if __name__ == "__main__":
    run(main)
