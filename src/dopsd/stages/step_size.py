"""Stage `step_size`: choose each method's learning rate on a concept outside of the comparison."""

from __future__ import annotations

from dopsd import backbones
from dopsd.config.params import load
from dopsd.evaluation.cell import Instruments
from dopsd.evaluation.instruments.mini_clip import load_clip
from dopsd.evaluation.instruments.reader import load_reader
from dopsd.evaluation.step_size import choose, search
from dopsd.sets.jsonl import read_set
from dopsd.stages._run import run
from dopsd.support import paths
from dopsd.support.files import write_csv, write_json
from dopsd.world.concepts import load_training


def main() -> None:
    """Write reports/metrics/step_size.json and the whole search to reports/tables/step_size.csv."""
    params = load()
    folder = paths.concept_set(params.step_size.concept)
    table = search(
        lambda: backbones.load(params.backbone),
        read_set(folder / "data.jsonl"),
        load_training(folder),
        Instruments(load_reader(), load_clip()),
        params,
        paths.WORK,
    )
    write_csv(table, paths.TABLES / "step_size.csv")
    write_json(choose(table), paths.STEP_SIZE)


if __name__ == "__main__":
    run(main)
