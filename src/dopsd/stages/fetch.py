"""Stage `fetch`: write the concept sets, those of the grid and the one that the step size is chosen on."""

from __future__ import annotations

from dopsd.config.params import load
from dopsd.stages._run import run
from dopsd.study.grid import fetched
from dopsd.support import paths
from dopsd.world.concepts import write_concept_set


def main() -> None:
    """Write data/concepts/<name>/ for every concept that params.yaml names."""
    params = load()
    for concept in fetched(params):
        write_concept_set(concept, paths.concept_set(concept), params.fetch.images, params.fetch.seed)


if __name__ == "__main__":
    run(main)
