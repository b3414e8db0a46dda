"""Stage `fetch`: write the concepts' sets, those of the grid and the one that step sizes are searched on."""

from __future__ import annotations

import shutil

from dopsd.config.params import load
from dopsd.stages._run import run
from dopsd.study.grid import fetched, of_one_shape
from dopsd.study.sets import write_concept
from dopsd.support import paths


def main() -> None:
    """Write data/concepts/<name>/ for every concept that params.yaml names, and nothing else there."""
    params = load()
    wanted = {paths.concept_set(c): c for c in fetched(params)}
    for folder, concept in wanted.items():
        write_concept(concept, params.fetch, folder, of_one_shape(params))
    for folder in set(paths.CONCEPTS.iterdir()) - set(wanted):
        shutil.rmtree(folder)


if __name__ == "__main__":
    run(main)
