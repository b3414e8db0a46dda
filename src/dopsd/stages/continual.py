"""A stage of a study that teaches one model several concepts, one after another: `python src/stage.py continual train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from dopsd.backbones.hub import has_random_weights
from dopsd.config.params import Params, load
from dopsd.report import answers, claimed, continual, grids, layout, page
from dopsd.report.along import Trainings
from dopsd.report.names import called_as_in, label
from dopsd.report.site import captions
from dopsd.report.site.studies import here
from dopsd.stages import keys
from dopsd.stages._run import run
from dopsd.stages.report import answered, write_claims
from dopsd.study.continual import Continual, all_stages
from dopsd.support import paths, sealed
from dopsd.support.errors import UserError, nearest
from dopsd.support.files import read_table, write_csv, write_text

REPORT = Path("reports/REPORT.md")


def devices(study: Continual) -> list[str]:
    """What the chains were trained, and their pictures drawn, on, each once."""
    drawn = list(study.drawings())
    folders = {d.weights for d in drawn if d.weights} | {paths.samples(*d.place) for d in drawn}
    return sorted({sealed.facts(folder)["device"] for folder in folders})


def write_report(study: Continual) -> None:
    """Write reports/tables, reports/figures, reports/*.json and reports/REPORT.md."""
    p, orders = study.params, study.chains.orders
    few, many = p.evaluate.few, p.evaluate.many
    of_sets, chains = continual.measured_of(read_table(paths.TABLE), orders, p.grid.trained, few, many)
    table = continual.table(of_sets)
    _, found = answered(p, of_sets, dict.fromkeys(orders, "set"))
    for name, rows in {"continual": table, "orders": chains, "claims": answers.table(found)}.items():
        write_csv(rows, paths.TABLES / f"{name}.csv")
    plain = continual.plain(p.grid.references)
    figure = continual.figure(of_sets, plain)
    if figure:
        of, kind = here(p), captions.kinds()["continual"]
        layout.placed(figure, kind.title, captions.foot(of, kind))
        grids.save(figure, paths.FIGURES / "continual.png")
    records, controls = write_claims(found)
    write_text(_page(study, of_sets, table, records, controls, plain, bool(figure)), REPORT)
    write_text(page.ledger(records, controls, p, len(study.chains.sets)), REPORT.with_name("CLAIMS.md"))
    write_text(page.negative(records, controls, p), REPORT.with_name("NEGATIVE.md"))


def _page(
    study: Continual,
    of_sets: Trainings,
    table: pd.DataFrame,
    records: list,
    controls: dict,
    plain: list[str],
    figure: bool,
) -> str:
    p, turbos = study.params, bool(study.params.grid.turbos)
    return page.filled(
        page.TEMPLATE.with_name("continual.md.j2"),
        lessons=study.lessons,
        sets=study.chains.sets,
        names=study.chains.names,
        grid=p.grid,
        devices=devices(study),
        sentences=continual.sentences(records),
        claims=claimed.tables(records, controls, turbos, "sets"),
        commits=claimed.commits(records),
        negatives=claimed.negatives(records, controls, turbos),
        figure=figure,
        tables={method: continual.markdown(table, method, plain) for method in of_sets.trained},
        reported=continual.beside_the_paper(table, p.grid.methods),
        label=label,
        random_weights=has_random_weights(p.backbone.model),
    )


def report(params: Params) -> None:
    """Write the report, in the study's own names of its methods, and say where it is."""
    study = Continual(params)
    with called_as_in(study.methods):
        write_report(study)
    print(f"The report: {REPORT}")


PARTS = {
    "keys": lambda params: keys.write(all_stages(params)),
    "train": lambda params: Continual(params).train(),
    "draw": lambda params: Continual(params).draw(),
    "evaluate": lambda params: Continual(params).evaluate(),
    "report": report,
}


def main(part: Annotated[str, typer.Argument(help=f"one of {', '.join(PARTS)}")]) -> None:
    """Bring the outputs of one stage up to date, in a study with a chains.yaml."""
    if part not in PARTS:
        raise UserError(f"unknown stage {part!r}{nearest(part, PARTS)}")
    PARTS[part](load())


if __name__ == "__main__":
    run(main)
