"""Stage `probe`: what the untouched model draws from contexts that have seen a picture."""

from __future__ import annotations

import pandas as pd

from dopsd import backbones, config, paths
from dopsd.files import write_csv, write_json
from dopsd.metrics.reader import load_reader
from dopsd.pictures import contact_sheet, to_pil
from dopsd.probe import probe
from dopsd.stages._run import run


def main() -> None:
    """Write reports/metrics/probe.json, reports/tables/probe.csv and the sheet of pictures."""
    params = config.load()
    scores, rows, sheet = probe(
        backbones.load(params.backbone),
        load_reader(),
        params.probe,
        layer=params.backbone.teacher_layer,
        seed=params.probe.seed,
        batch_size=params.evaluate.batch_size,
    )
    write_json(scores, paths.METRICS / "probe.json")
    write_csv(pd.DataFrame(rows), paths.TABLES / "probe.csv")
    paths.PROBE_SHEET.parent.mkdir(parents=True, exist_ok=True)
    to_pil(contact_sheet(sheet.flatten(0, 1), columns=sheet.shape[1])).save(paths.PROBE_SHEET)


if __name__ == "__main__":
    run(main)
