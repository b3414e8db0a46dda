"""A stage of a study that asks what the teacher is given: `python src/stage.py contexts draw`."""

from __future__ import annotations

from pathlib import Path

from dopsd.config import claims as asked_of
from dopsd.config.params import Params
from dopsd.evaluation.seen import KNOWN
from dopsd.report import answers, claims, grids
from dopsd.report import page as pages
from dopsd.report.contexts import figures, page, tables
from dopsd.report.contexts.names import called
from dopsd.report.site.studies import here
from dopsd.stages import keys
from dopsd.stages._parts import command
from dopsd.stages._run import run
from dopsd.stages.report import write_claims
from dopsd.study import grid
from dopsd.study.contexts import Contextual, all_stages
from dopsd.support import paths, sealed
from dopsd.support.files import read_table, write_csv, write_text

REPORT = Path("reports/REPORT.md")


def devices(study: Contextual) -> list[str]:
    """What the pictures were drawn, and scored, on, each once."""
    folders = [place(*cell) for cell in study.cells() for place in (paths.samples, paths.scores)]
    return sorted({sealed.facts(folder)["device"] for folder in folders})


def write_report(study: Contextual) -> None:
    """Write reports/tables, reports/figures, reports/*.json and reports/REPORT.md."""
    p, of = study.params, study.contexts
    rows = [*of.contexts, *KNOWN]
    trainings = tables.measured(read_table(paths.TABLE), of.student, p.evaluate.few)
    kinds = {concept: grid.kind(p, concept) for concept in p.grid.concepts}
    found = claims.answers(asked_of.load(rows=rows), trainings, kinds, p.compare, bool(p.grid.turbos))
    table = tables.table(trainings, rows, of)
    written = {
        "contexts": table,
        "concepts": tables.by_concept(trainings, rows, kinds),
        "claims": answers.table(found),
    }
    for name, numbers in written.items():
        write_csv(numbers, paths.TABLES / f"{name}.csv")
    name = here(p).name
    grids.save(figures.contexts(trainings, of, name, page.asks(p)), paths.FIGURES / "contexts.png")
    grids.save(figures.sheet(p, of, name), paths.FIGURES / "sheet.png")
    records, controls = write_claims(found)
    write_text(page.report(p, of, table, records, controls, devices(study)), REPORT)
    write_text(page.ledger(p, records, controls), REPORT.with_name("CLAIMS.md"))
    write_text(pages.negative(records, controls, p), REPORT.with_name("NEGATIVE.md"))


def report(params: Params) -> None:
    """Write the report, in the contexts' own names, and say where it is."""
    study = Contextual(params)
    with called(study.contexts.contexts):
        write_report(study)
    print(f"The report: {REPORT}")


PARTS = {
    "keys": lambda params: keys.write(all_stages(params)),
    "draw": lambda params: Contextual(params).draw(),
    "evaluate": lambda params: Contextual(params).evaluate(),
    "report": report,
}
main = command(PARTS)


if __name__ == "__main__":
    run(main)
