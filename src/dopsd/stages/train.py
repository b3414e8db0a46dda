"""Stage `train`: fine-tune the model on one concept with one method, once a seed."""

from __future__ import annotations

from typing import Annotated

import typer

from dopsd import backbones
from dopsd.config.params import load
from dopsd.sets.jsonl import read_set
from dopsd.stages._run import run
from dopsd.support import paths
from dopsd.support.errors import UserError
from dopsd.support.files import read_json
from dopsd.training.loop import publish, train


def main(
    method: Annotated[str, typer.Option()],
    concept: Annotated[str, typer.Option()],
    seed: Annotated[list[int] | None, typer.Option(help="in place of grid.seeds; may be given several times")] = None,
    learning_rate: Annotated[float | None, typer.Option(min=0, help="in place of the one that was chosen")] = None,
) -> None:
    """Write models/lora/<method>/<concept>/<seed>/: the adapter at every checkpoint, and loss.csv.

    Trainings are moved there when all seeds are done, so that a killed stage repeats none of them.
    """
    params = load()
    if learning_rate is None:
        rates = read_json(paths.STEP_SIZE)
        if method not in rates:
            raise UserError(f"{paths.STEP_SIZE}: no step size for {method!r}; run the stage `step_size`")
        learning_rate = rates[method]["value"]
    items = read_set(paths.concept_set(concept) / "data.jsonl")
    finished = {
        s: train(
            backbones.load(params.backbone),
            items,
            method,
            params.train,
            seed=s,
            learning_rate=learning_rate,
            work=paths.WORK,
            name=f"{method} {concept} {s}",
        )
        for s in seed or params.grid.seeds
    }
    for s, folder in finished.items():
        publish(folder, paths.adapters(method, concept, s))


if __name__ == "__main__":
    run(main)
