"""Stage `report`: tables, figures and REPORT.md from the long table; the grid comes from params.yaml, never from a glob."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from dopsd.backbones.hub import has_random_weights
from dopsd.config import claims as asked_of
from dopsd.config.params import Params, load
from dopsd.report import cells as flat_cells
from dopsd.report import claims, figures, grids, page, sheets, tables
from dopsd.report.headline import headline
from dopsd.report.names import labels
from dopsd.stages._run import run
from dopsd.study import grid as cells_of
from dopsd.study.keys import panel
from dopsd.support import paths, sealed
from dopsd.support.errors import UserError
from dopsd.support.files import read_csv, read_json, read_table, write_csv, write_json, write_text
from dopsd.world.outside import OUTSIDE


def devices(params: Params) -> list[str]:
    """What the cells of the tables ran on, each once: trainings, drawings and scores."""
    folders = [paths.adapters(*c) for c in cells_of.trained(params.grid)]
    folders += [paths.samples(*c) for c in cells_of.drawn(params.grid)]
    folders += [paths.scores(*c) for c in cells_of.scored(params.grid)]
    return sorted({sealed.facts(folder)["device"] for folder in folders})


def complete(table: pd.DataFrame, params: Params) -> None:
    """UserError where the long table lacks a cell of the grid."""
    there = set(table[["method", "concept", "seed"]].itertuples(index=False, name=None))
    for cell in cells_of.scored(params.grid):
        if tuple(cell) not in there:
            raise UserError(f"{paths.TABLE}: no scores of {cell.name}; run `dvc repro`")


def write_tables(params: Params, cells: dict) -> tuple[pd.DataFrame, ...]:
    """Write reports/tables -> (comparison, summary, matched, claims)."""
    grid, few, many = params.grid, params.evaluate.few, params.evaluate.many
    baseline, fidelity = params.compare.baseline, params.step_size.fidelity
    kinds = {c: params.fetch.kind(c) or OUTSIDE[c].kind for c in grid.concepts}
    table, summary = tables.comparison(cells, kinds, few), tables.summary(cells, baseline)
    matched = tables.matched(cells, grid.trained, baseline, fidelity, few)
    written = {
        "comparison": table,
        "matched": matched,
        "trajectory": tables.trajectory(table, few),
        "summary": summary,
        "loss": tables.losses(grid.trained, grid.concepts, grid.seeds),
        "claims": claims.answers(asked_of.load(), cells, matched, params.compare, fidelity, few),
    }
    for name, rows in written.items():
        write_csv(rows, paths.TABLES / f"{name}.csv")
    text = tables.summary_markdown(summary, labels(dict.fromkeys(summary.score), few, many), baseline)
    write_text(text, paths.TABLES / "summary.md")
    return table, summary, matched, written["claims"]


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
    if asked := params.probe or params.picture_probe:
        drawn["probe"] = figures.probe(asked.contexts, vlms)
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
    table, summary, matched, answered = write_tables(params, cells)
    probe = read_json(paths.METRICS / "probe.json") if params.probe or params.picture_probe else None
    miniature = read_json(paths.METRICS / "miniature.json") if params.miniature else None
    trained, few = params.grid.trained, params.evaluate.few
    fidelity, baseline = params.step_size.fidelity, params.compare.baseline
    write_json(headline(summary, matched, probe, trained, few, fidelity, baseline), paths.SUMMARY)
    shown = draw_figures(params, cells, table, list(probe or {}))
    random = has_random_weights(params.backbone.model)
    sizes, ran_on = read_json(paths.STEP_SIZE), devices(params)
    lower = {name for name, what in panel(params).scores.items() if what.better == "lower"}
    results = page.Results(summary, matched, answered, sizes, probe, miniature, ran_on, lower, shown, random)
    report = Path("reports/REPORT.md")
    write_text(page.report(results, params), report)
    if miniature:
        degraded = read_csv(paths.TABLES / "degradations.csv")
        write_text(page.miniature_card(miniature, degraded), Path("reports/MINIATURE.md"))
    print((paths.TABLES / "summary.md").read_text(encoding="utf-8") + f"\nThe report: {report}")


if __name__ == "__main__":
    run(main)
