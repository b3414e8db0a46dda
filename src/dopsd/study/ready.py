"""What would stop a study of pictures is said before its first training: a model or an instrument that cannot be had, files
that are damaged, captions that student and teacher would read differently, a disk that is too small."""

from __future__ import annotations

import shutil
from pathlib import Path

from dopsd import backbones
from dopsd.backbones import hub
from dopsd.config.backbone import Backbone
from dopsd.config.params import Params
from dopsd.evaluation.instruments import Need, View
from dopsd.evaluation.rows import NEW, ORDINARY, REWRITE, of_kind
from dopsd.sets.jsonl import read_set
from dopsd.study import costs, grid, keys, plan
from dopsd.study.pipeline import Study
from dopsd.study.prompts import asked
from dopsd.support import paths
from dopsd.support.errors import UserError
from dopsd.training import texts

PIPELINE = ("*/*.json", "*/*.safetensors", "*/*.txt", "*/*.jinja")  # of a repository: the parts of a pipeline
TRANSFORMER = ("transformer/*.json", "transformer/*.safetensors")


def check(study: Study) -> None:
    """UserError where a training, or what comes after it, could not run to its end. Fetches what is on a hub."""
    params = study.params
    for settings in (params.backbone, *keys.turbos(params).values()):
        _model(settings)
    if params.backbone.base and costs.wants_base(params):
        _whole(hub.fetch(params.backbone.base, None, "undistilled base", TRANSFORMER))
        backbones.load(keys.base(params.backbone))
    _instruments(params)
    _captions(params)
    _disk(study)


def _model(settings: Backbone) -> None:
    """The few-step model's parts, and the teacher's eye."""
    _whole(hub.fetch(settings.model, settings.revision, "model", ("model_index.json",), PIPELINE))
    if vlm := getattr(settings, "vlm", None):
        revision = getattr(settings, "vlm_revision", None)
        _whole(hub.fetch(vlm, revision, "VLM", hub.WEIGHTS, hub.OPTIONAL))
    backbones.load(settings)


def _whole(folder: Path) -> None:
    """UserError where a file of weights is none, or not all there. Headers are read, which say how long a file must be."""
    for file in sorted(folder.rglob("*.safetensors")):
        with plan.header(file):
            pass


def _instruments(params: Params) -> None:
    """Each can be had, and has something to say of what is asked."""
    looking = keys.panel(params)
    looking.fetch()
    for folder in looking.folders():
        _whole(folder)
    for concept in params.grid.concepts:
        rows, items = asked(concept), read_set(paths.concept_set(concept) / "data.jsonl")
        later: dict[str, set[Need]] = {ORDINARY: {"reference"}}
        kinds = [k for k in (REWRITE, NEW, ORDINARY) if of_kind(rows, k)]
        looking.check({k: View(k, of_kind(rows, k), (), items).has() | later.get(k, set()) for k in kinds})


def _captions(params: Params) -> None:
    """Student and teacher read the same of every caption."""
    backbone = backbones.load(params.backbone)
    seen = any(m.needs.seen for m in grid.methods(params).values())
    for concept in params.grid.concepts:
        texts.check(backbone, read_set(paths.concept_set(concept) / "data.jsonl"), seen)


def _disk(study: Study) -> None:
    """The cells that are not there fit on this disk, where their size is known."""
    taken = costs.disk(study)
    free = shutil.disk_usage(Path.cwd()).free / costs.GIB
    if taken and sum(taken.values()) > free:
        raise UserError(
            f"{Path.cwd()}: {free:.1f} GiB are free, and the study's cells will take about {sum(taken.values()):.1f} in "
            f"{costs.COPIES} copies; free some, or keep fewer train.checkpoints"
        )
