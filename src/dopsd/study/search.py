"""A candidate of a method's learning rate, trained, drawn and scored, as a worker runs it."""

from __future__ import annotations

import shutil
from pathlib import Path

from dopsd.config.backbone import Backbone
from dopsd.config.study import Evaluate
from dopsd.config.train import Train
from dopsd.evaluation.sheets import sheets
from dopsd.evaluation.step_size import score
from dopsd.objectives import Method
from dopsd.study.draw import draw_cell
from dopsd.study.score import score_pictures
from dopsd.study.train import train_cell
from dopsd.support.files import read_json, write_json

ROWS = "rows.json"


def search_cell(
    backbone: Backbone,
    method: Method,
    train: Train,
    settings: Evaluate,
    concept: Path,
    seed: int,
    learning_rate: float,
    folder: Path,
    name: str,
    device: str,
) -> Path:
    """Write the candidate's scores at every checkpoint to folder/rows.json, and return the folder.

    concept: the folder of a concept's set. settings: of the comparison; here all is drawn in its few steps.
    """
    few = settings.few
    settings = settings.model_copy(update={"nfe": (few,), "nfe_sweep": ()})
    trained = train_cell(
        backbone, method, train, concept / "data.jsonl", seed, learning_rate, folder / "train", name, device
    )
    todo, plain = sheets(settings, train.kept, every_nfe=False), [(0, "ordinary", few)]
    shared = {"seed": seed, "settings": settings, "device": device}
    untouched = draw_cell(backbone, None, None, False, todo=plain, folder=folder / "untouched", **shared)
    drawn = draw_cell(backbone, trained, concept, False, todo=todo, folder=folder / "drawn", **shared)
    scored = score_pictures(drawn, untouched, todo, plain, concept, False, folder=folder / "scores", **shared)
    rows = score(read_json(scored / "scores.json"), few)
    for part in ("train", "untouched", "drawn", "scores"):
        shutil.rmtree(folder / part)
    write_json({"rows": rows}, folder / ROWS)
    return folder
