"""The domains of a study: `fetch.folders` names them, and where their pictures are; the world makes these and the prompts.

All that follows, training, drawing and scoring, is that of a person's folders and of files of prompts.
"""

from __future__ import annotations

from pathlib import Path

from dopsd.config.params import Params
from dopsd.evaluation import by_domain, rows
from dopsd.study.grid import fetched
from dopsd.study.prompts import seeds_of
from dopsd.support import paths
from dopsd.world.domains import write_domain


def domains(params: Params) -> dict[Path, str]:
    """{folder of its pictures: the domain that they show}, of the grid and of the search."""
    named = {c: params.fetch.folders[c] for c in fetched(params) if c in params.fetch.folders}
    return {Path(found.images): found.name for found in named.values()}


def pictures(params: Params, folder: Path) -> None:
    """Write a domain's folder; UserError where the world has none of its name."""
    write_domain(domains(params)[folder], folder, params.fetch.images, params.fetch.seed)


def asked(params: Params, folder: Path) -> None:
    """Write the prompts, a file a domain, and none that all share: each has ordinary ones of its own."""
    wanted = params.prompts
    for concept in fetched(params):
        domain = params.fetch.folders[concept].name
        mine = [
            row
            for seed in seeds_of(params, concept)
            for row in by_domain.rows(domain, wanted.new, wanted.noises, wanted.ordinary, seed, wanted.said)
        ]
        rows.write(mine, folder / f"{concept}.jsonl")
    rows.write([], folder / f"{paths.ORDINARY}.jsonl")
