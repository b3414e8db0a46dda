"""Stages `evaluate` and `untouched`: score methods on one concept with one seed, on prompts and noise that all share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer
from safetensors.torch import load_file

from dopsd import backbones, config, lora, paths
from dopsd.errors import UserError
from dopsd.evaluate import Instruments, evaluate_cell
from dopsd.files import write_json
from dopsd.metrics.clip import load_clip
from dopsd.metrics.reader import load_reader
from dopsd.mini.concept_sets import load_training
from dopsd.pictures import contact_sheet, to_pil
from dopsd.stages._run import run


def checkpoints(backbone, params, method: str, concept: str, seed: int) -> Iterator[int]:
    """Put one checkpoint after another on the backbone; a method without training yields 0 once."""
    if method in params.grid.untouched:
        yield 0
        return
    for step in params.train.checkpoints:
        lora.load(backbone.transformer, paths.adapters(method, concept, seed) / f"step-{step:04d}")
        yield step


def main(
    method: Annotated[list[str], typer.Option()],
    concept: Annotated[str, typer.Option()],
    seed: Annotated[int, typer.Option()],
) -> None:
    """Write reports/metrics/cells/<method>/<concept>/<seed>.json and the contact sheets, for each --method given."""
    params = config.load()
    reference = paths.reference(seed)
    if not reference.exists():
        raise UserError(f"{reference}: missing; run `dvc repro reference@{seed}`")
    untouched, training = load_file(reference), load_training(paths.concept_set(concept))
    tools = Instruments(load_reader(), load_clip())
    for name in method:
        backbone = backbones.load(params.backbone)
        scores, pictures = evaluate_cell(
            backbone,
            checkpoints(backbone, params, name, concept, seed),
            training,
            untouched,
            tools,
            params.evaluate,
            seed=seed,
            described=name == "described",
            every_nfe=seed == params.grid.seeds[0],
        )
        write_json(scores, paths.cell(name, concept, seed))
        folder = paths.samples(name, concept, seed)
        folder.mkdir(parents=True, exist_ok=True)
        for sheet, images in pictures.items():
            to_pil(contact_sheet(images, columns=8)).save(folder / f"{sheet}.png")


if __name__ == "__main__":
    run(main)
