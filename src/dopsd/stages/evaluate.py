"""Stage `evaluate`: score methods on one concept, for every seed, along their training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer
from safetensors.torch import load_file

from dopsd import backbones
from dopsd.backbones.base import Backbone
from dopsd.config.params import load
from dopsd.evaluation.cell import Instruments, evaluate_cell
from dopsd.evaluation.instruments.mini_clip import load_clip
from dopsd.evaluation.instruments.reader import load_reader
from dopsd.stages._run import run
from dopsd.support import paths
from dopsd.support.errors import UserError
from dopsd.support.files import write_json
from dopsd.support.pictures import contact_sheet, to_pil
from dopsd.training.weights import walk
from dopsd.world.concepts import load_training


def score(backbone: Backbone, method: str, concept: str, seed: int, params, tools: Instruments) -> dict:
    """Score one cell, and write its contact sheets."""
    reference = paths.reference(seed)
    if not reference.exists():
        raise UserError(f"{reference}: missing; run `dvc repro reference`")
    checkpoints: Iterable[int] = [0]
    if method not in params.grid.untouched:
        checkpoints = walk(backbone, paths.adapters(method, concept, seed), params.train.checkpoints)
    scores, pictures = evaluate_cell(
        backbone,
        checkpoints,
        load_training(paths.concept_set(concept)),
        load_file(reference),
        tools,
        params.evaluate,
        seed=seed,
        described=method == "described",
        every_nfe=seed == params.grid.seeds[0],
    )
    folder = paths.samples(method, concept, seed)
    folder.mkdir(parents=True, exist_ok=True)
    for sheet, images in pictures.items():
        to_pil(contact_sheet(images, columns=8)).save(folder / f"{sheet}.png")
    return scores


def main(
    method: Annotated[list[str], typer.Option(help="may be given several times")],
    concept: Annotated[str, typer.Option()],
) -> None:
    """Write reports/metrics/cells/<method>/<concept>.json, an entry a seed, and the contact sheets."""
    params = load()
    tools = Instruments(load_reader(), load_clip())
    for name in method:
        backbone = backbones.load(params.backbone)
        cells = {str(seed): score(backbone, name, concept, seed, params, tools) for seed in params.grid.seeds}
        write_json(cells, paths.cells(name, concept))


if __name__ == "__main__":
    run(main)
