"""Stage `step_size`: choose each method's learning rate on a concept outside of the comparison."""

from __future__ import annotations

from dopsd import backbones, config, paths
from dopsd.concepts import read_set
from dopsd.evaluate import Instruments
from dopsd.files import write_csv, write_json
from dopsd.metrics.clip import load_clip
from dopsd.metrics.reader import load_reader
from dopsd.mini.concept_sets import load_training
from dopsd.stages._run import run
from dopsd.step_size import choose, search


def main() -> None:
    """Write reports/metrics/step_size.json and the whole search to reports/tables/step_size.csv."""
    params = config.load()
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
