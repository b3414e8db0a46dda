"""Stage `step_size`: choose each method's learning rate on a concept outside of the comparison."""

from __future__ import annotations

from dopsd.config.params import load
from dopsd.evaluation.step_size import choose
from dopsd.stages._run import run
from dopsd.study import ready
from dopsd.study.pipeline import Study
from dopsd.support import paths
from dopsd.support.files import write_csv, write_json


def main() -> None:
    """Write reports/metrics/step_size.json and the whole search to reports/tables/step_size.csv."""
    file = paths.TABLES / "step_size.csv"
    params = load()
    study = Study(params)
    if params.picture_probe:  # what is missing is said before the first training
        ready.check(study)
    table = study.search(file)
    write_csv(table, file)
    write_json(choose(table, params.step_size.given, params.step_size.same), paths.STEP_SIZE)


if __name__ == "__main__":
    run(main)
