"""A study that asks for its training pictures again, in other words: `python src/stage.py rewrites prompts`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from dopsd import objectives
from dopsd.config.params import Params
from dopsd.evaluation import by_rewrites, by_world, rows
from dopsd.evaluation.rows import NEW, REWRITE
from dopsd.evaluation.sheets import Sheet, kept
from dopsd.report import grids
from dopsd.report.comparison import SIDE, last_step
from dopsd.report.names import called_as_in, label
from dopsd.sets.jsonl import read_set
from dopsd.stages import keys
from dopsd.stages import report as standard
from dopsd.stages._parts import command
from dopsd.stages._run import run
from dopsd.study import code
from dopsd.study.grid import Cell, fetched, scored
from dopsd.study.keys import all_stages, panel
from dopsd.study.prompts import asked, seeds_of
from dopsd.support import paths
from dopsd.support.errors import UserError
from dopsd.support.pictures import from_pil
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


def figure(params: Params) -> Figure:
    """A row a concept: its first training picture, then what each row of the study draws when that is asked for again: the
    first wording's first noise, at the last step of the first seed; none is chosen."""
    few, seed, side = params.evaluate.few, params.grid.seeds[0], min(params.fetch.size, SIDE)
    there, shown, made, said = set(scored(params.grid)), params.grid.methods, [], []
    for concept in params.grid.concepts:
        wanted = rows.of_kind(asked(concept), REWRITE, seed)
        item = read_set(paths.concept_set(concept) / "data.jsonl")[0]
        first = [row.picture for row in wanted].index(item.file.name)
        pictures = [grids.tile(from_pil(item.image()), side)]
        for method in shown:
            cell, sheet = Cell(method, concept, seed), Sheet(last_step(params, method), REWRITE, few)
            blank = np.full((side, side, 3), 255, np.uint8)  # nothing describes a look without words
            images = kept(paths.samples(*cell), sheet, wanted) if cell in there else []
            pictures.append(grids.tile(images[first], side) if images else blank)
        made.append(pictures)
        said.append(f"asked: “{wanted[first].text}”")
    foot = f"Study {Path.cwd().name}. {few} steps, last checkpoint, seed {seed}; equal noise in every column."
    titles = ["Training picture", *map(label, shown)]
    return grids.picture_grid(made, titles, list(params.grid.concepts), max(1, SIDE // side), 14, said, foot)


def report(params: Params) -> None:
    """Write the report as the stage report does, and reports/figures/rewrites.png beside its figures."""
    standard.main()
    with called_as_in({name: objectives.method(name, params.methods, params.where) for name in params.methods}):
        grids.save(figure(params), paths.FIGURES / "rewrites.png")


def depends(params: Params) -> dict[str, dict]:
    """What each stage depends on, as in any study, and this one."""
    out = all_stages(params)
    out["report"]["code"] = code.digest(["dopsd.stages.rewrites", *panel(params).modules()])
    return out | {
        "rewrites": out["prompts"] | {"code": code.digest(["dopsd.stages.rewrites"]), "fetch": params.fetch.seed}
    }


PARTS = {"keys": lambda params: keys.write(depends(params)), "prompts": write, "report": report}
main = command(PARTS)


if __name__ == "__main__":
    run(main)
