"""Stage `train`: fine-tune the model, once a method, concept and seed."""

from __future__ import annotations

from dopsd.config.params import load
from dopsd.stages._run import run
from dopsd.study import ready
from dopsd.study.pipeline import Study


def main() -> None:
    """Write models/lora/<method>/<concept>/<seed>/: the adapter at every checkpoint, and loss.csv."""
    study = Study(load())
    if study.params.picture_probe:
        ready.check(study)
    study.train()


if __name__ == "__main__":
    run(main)
