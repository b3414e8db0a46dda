"""Stage `train`: fine-tune the model on one concept with one method and one seed."""

from __future__ import annotations

from typing import Annotated

import typer

from dopsd import backbones, config, paths
from dopsd.errors import UserError
from dopsd.files import read_json
from dopsd.stages._run import run
from dopsd.train import train


def main(
    method: Annotated[str, typer.Option()],
    concept: Annotated[str, typer.Option()],
    seed: Annotated[int, typer.Option()],
    learning_rate: Annotated[float | None, typer.Option(min=0, help="in place of the one that was chosen")] = None,
) -> None:
    """Write models/lora/<method>/<concept>/<seed>/: the adapter at every checkpoint, and loss.csv."""
    params = config.load()
    if learning_rate is None:
        rates = read_json(paths.STEP_SIZE)
        if method not in rates:
            raise UserError(f"{paths.STEP_SIZE}: no step size for {method!r}; run the stage `step_size`")
        learning_rate = rates[method]["value"]
    train(
        backbones.load(params.backbone),
        paths.concept_set(concept) / "data.jsonl",
        method,
        params.train,
        seed=seed,
        learning_rate=learning_rate,
        out=paths.adapters(method, concept, seed),
        work=paths.WORK,
    )


if __name__ == "__main__":
    run(main)
