"""Stage `probe`: what the untouched model draws from contexts that have seen a picture, of the world or of the study."""

from __future__ import annotations

from itertools import chain, zip_longest
from pathlib import Path

import pandas as pd
import torch

from dopsd import backbones
from dopsd.backbones.pipeline import device
from dopsd.config.params import Params, load
from dopsd.config.probe import PictureProbe
from dopsd.evaluation import probe_pictures
from dopsd.evaluation.instruments import Panel
from dopsd.evaluation.instruments.reader import load_reader
from dopsd.evaluation.probe import probe
from dopsd.sets.items import fitted
from dopsd.sets.jsonl import read_set
from dopsd.stages._run import run, section
from dopsd.support import paths
from dopsd.support.errors import UserError
from dopsd.support.files import write_csv, write_json
from dopsd.support.pictures import contact_sheet, from_pil, to_pil

SIDE = 192  # pixels of a picture on the sheet of a study's pictures


def of_the_world(params: Params) -> tuple[dict, pd.DataFrame, list[torch.Tensor]]:
    """Scores, their table and rows of pictures, an entry a VLM."""
    settings = section(params.probe, "probe")
    if params.backbone.name != "zimage":
        raise UserError(
            f"params.yaml: backbone.name {params.backbone.name!r}: the world's probe needs a VLM (zimage); write "
            "picture_probe in place of probe"
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
    return scores, pd.concat(tables), sheet


def of_pictures(params: Params, settings: PictureProbe) -> tuple[dict, pd.DataFrame, list[torch.Tensor]]:
    """The same of the study's own pictures, a concept's after another's."""
    sets = [read_set(paths.concept_set(c) / "data.jsonl") for c in params.grid.concepts]
    items = [item for item in chain(*zip_longest(*sets)) if item is not None]
    panel = Panel(params.instruments, device(params.backbone.device), params.where)
    model = backbones.load(params.backbone)
    found, table, pictures = probe_pictures.probe(model, items, panel, settings, params.evaluate.batch_size)
    name = Path(getattr(params.backbone, "vlm", params.backbone.model)).name
    side = min(SIDE, params.fetch.size)
    tiles = [torch.stack([from_pil(fitted(to_pil(x), side, side)) for x in images]) for images in pictures.values()]
    return {name: found}, table.assign(vlm=name), tiles


def main() -> None:
    """Write reports/metrics/probe.json, reports/tables/probe.csv and the sheet of pictures."""
    params = load()
    asked = of_pictures(params, params.picture_probe) if params.picture_probe else of_the_world(params)
    scores, table, sheet = asked
    write_json(scores, paths.METRICS / "probe.json")
    write_csv(table, paths.TABLES / "probe.csv")
    paths.PROBE_SHEET.parent.mkdir(parents=True, exist_ok=True)
    to_pil(contact_sheet(torch.cat(sheet), columns=len(sheet[0]))).save(paths.PROBE_SHEET)


if __name__ == "__main__":
    run(main)
