"""Stage `report`: tables, figures and REPORT.md from the scores; the grid comes from params.yaml, never from a glob."""

from __future__ import annotations

from pathlib import Path

from dopsd.config.params import Params, load
from dopsd.report import claims, figures, grids, page, tables
from dopsd.report.headline import headline
from dopsd.stages._run import run
from dopsd.study import grid as cells_of
from dopsd.study.store import CARD
from dopsd.support import paths
from dopsd.support.files import read_json, write_csv, write_json
from dopsd.world.scenes import CONCEPTS


def devices(params: Params) -> list[str]:
    """What the cells of the tables ran on, each once: trainings, drawings and scores."""
    folders = [paths.adapters(*c) for c in cells_of.trained(params.grid)]
    folders += [paths.samples(*c) for c in cells_of.drawn(params.grid)]
    folders += [paths.scores(*c) for c in cells_of.scored(params.grid)]
    return sorted({read_json(folder / CARD)["device"] for folder in folders})


def main() -> None:
    """Write reports/tables, reports/figures, reports/summary.json and reports/REPORT.md, and show the summary."""
    params = load()
    grid, settings = params.grid, params.evaluate
    few, many = settings.few, settings.many
    cells = tables.read_cells(grid.methods, grid.concepts, grid.seeds)
    table = tables.comparison(cells, {c: CONCEPTS[c].kind for c in grid.concepts})
    summary, losses = tables.summary(cells), tables.losses(grid.trained, grid.concepts, grid.seeds)
    matched = tables.matched(cells, grid.trained)
    written = {
        "comparison": table,
        "matched": matched,
        "trajectory": tables.trajectory(table),
        "summary": summary,
        "loss": losses,
        "claims": claims.answers(matched),
    }
    for name, rows in written.items():
        write_csv(rows, paths.TABLES / f"{name}.csv")
    text = tables.summary_markdown(summary, page.labels(few, many))
    (paths.TABLES / "summary.md").write_text(text, encoding="utf-8")

    scores = {n: read_json(paths.METRICS / f"{n}.json") for n in ("probe", "miniature", "step_size")}
    write_json(headline(summary, matched, scores["probe"], grid.trained, few), paths.SUMMARY)
    last = {m: params.train.steps if m in grid.trained else 0 for m in grid.methods if m != "described"}
    drawn = {
        "comparison": figures.comparison(grid.concepts, last, grid.seeds[0], few, settings.noises),
        "fidelity_retention": figures.fidelity_retention(table),
        "nfe": figures.nfe(cells),
        "loss": figures.loss(losses),
        "probe": figures.probe(params.probe.contexts, list(scores["probe"])),
        "prompts": figures.prompts(),
        "recipe": figures.recipe(Path("docs/curves")),
    }
    for name, figure in drawn.items():
        grids.save(figure, paths.FIGURES / f"{name}.png")

    report = Path("reports/REPORT.md")
    ran_on = devices(params)
    report.write_text(page.report(summary, matched, **scores, params=params, devices=ran_on), encoding="utf-8")
    card = page.miniature_card(scores["miniature"], scores["probe"])
    Path("reports/MINIATURE.md").write_text(card, encoding="utf-8")
    print(text + f"\nThe report: {report}")


if __name__ == "__main__":
    run(main)
