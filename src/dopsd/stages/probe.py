"""Stage `probe`: what the untouched model draws from contexts that have seen a picture."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import torch

from dopsd import backbones
from dopsd.config.params import load
from dopsd.evaluation.instruments.reader import load_reader
from dopsd.evaluation.probe import probe
from dopsd.stages._run import run, section
from dopsd.support import paths
from dopsd.support.errors import UserError
from dopsd.support.files import write_csv, write_json
from dopsd.support.pictures import contact_sheet, to_pil


def main() -> None:
    """Write reports/metrics/probe.json, reports/tables/probe.csv and the sheet of pictures, an entry a VLM."""
    params = load()
    settings = section(params.probe, "probe")
    if params.backbone.name != "zimage":
        raise UserError(
            f"params.yaml: backbone.name {params.backbone.name!r}: the probe needs a VLM (zimage); take `probe` out"
        )
    reader, scores, tables, sheet = load_reader(), {}, [], []
    for vlm in (params.backbone.vlm, *settings.also):
        revision = params.backbone.vlm_revision if vlm == params.backbone.vlm else None
        name = Path(vlm).name
        scores[name], rows, pictures = probe(
            backbones.load(params.backbone.model_copy(update={"vlm": vlm, "vlm_revision": revision})),
            reader,
            settings,
            layer=params.backbone.teacher_layer,
            seed=settings.seed,
            batch_size=params.evaluate.batch_size,
        )
        tables.append(pd.DataFrame(rows).assign(vlm=name))
        sheet += [v for k, v in pictures.items() if k not in ("target", "text") or not sheet]
    write_json(scores, paths.METRICS / "probe.json")
    write_csv(pd.concat(tables), paths.TABLES / "probe.csv")
    paths.PROBE_SHEET.parent.mkdir(parents=True, exist_ok=True)
    to_pil(contact_sheet(torch.cat(sheet), columns=len(sheet[0]))).save(paths.PROBE_SHEET)


if __name__ == "__main__":
    run(main)
