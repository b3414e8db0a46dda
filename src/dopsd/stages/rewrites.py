"""A study that asks for its training pictures again, in other words: `python src/stage.py rewrites prompts`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dopsd.config.params import Params, load
from dopsd.evaluation import by_rewrites, by_world, rows
from dopsd.evaluation.rows import NEW
from dopsd.stages import keys
from dopsd.stages._run import run
from dopsd.study import code
from dopsd.study.grid import fetched
from dopsd.study.keys import all_stages
from dopsd.study.prompts import seeds_of
from dopsd.support import paths
from dopsd.support.errors import UserError, nearest
from dopsd.world.concepts import load_training


def folder(params: Params) -> Path:
    """Where a study's stage `prompts` reads what this one writes; UserError where it reads something else."""
    if params.prompts.source != "files":
        raise UserError(
            f"{params.where('prompts', 'source')}: prompts.source: {params.prompts.source!r}; write files, and the folder "
            "that the rewrites are written to"
        )
    return Path(str(params.prompts.folder))


def write(params: Params) -> None:
    """Write <folder>/<concept>.jsonl: new scenes, ordinary prompts and the training pictures' rewrites; and an ordinary.jsonl
    without a row, since each concept has its own."""
    out, wanted = folder(params), params.prompts
    out.mkdir(parents=True, exist_ok=True)
    for concept in fetched(params):
        known = load_training(paths.concept_set(concept)).attributes
        found = []
        for seed in seeds_of(params, concept):
            new = by_world.for_concept(concept, wanted.new, wanted.noises, seed, known, wanted.said)
            found += [row for row in new if row.kind == NEW]
            found += by_world.ordinary(concept, wanted.ordinary, seed, wanted.said)
            found += by_rewrites.for_concept(concept, len(known), params.fetch.seed, wanted.noises, seed)
        rows.write(found, out / f"{concept}.jsonl")
    rows.write([], out / f"{paths.ORDINARY}.jsonl")


def depends(params: Params) -> dict[str, dict]:
    """What each stage depends on, as in any study, and this one."""
    out = all_stages(params)
    return out | {
        "rewrites": out["prompts"] | {"code": code.digest(["dopsd.stages.rewrites"]), "fetch": params.fetch.seed}
    }


PARTS = {"keys": lambda params: keys.write(depends(params)), "prompts": write}


def main(part: Annotated[str, typer.Argument(help=f"one of {', '.join(PARTS)}")]) -> None:
    """Bring the outputs of one stage up to date."""
    if part not in PARTS:
        raise UserError(f"unknown stage {part!r}{nearest(part, PARTS)}")
    PARTS[part](load())


if __name__ == "__main__":
    run(main)
