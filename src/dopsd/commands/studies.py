"""Commands that look into the folder of a study: their arguments."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dopsd.commands import arguments
from dopsd.support.errors import UserError, printable

if TYPE_CHECKING:
    from dopsd.study.pipeline import Study

Folder = Annotated[Path, typer.Argument(help="of a study: where its params.yaml is")]


def _enter(folder: Path) -> None:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; name the one that holds the study's params.yaml")
    os.chdir(folder)


def plan(folder: Folder = Path(".")) -> None:
    """Print what `dvc repro` of a study would run and find kept, and what it costs."""
    _enter(folder)
    from dopsd.config.params import load
    from dopsd.config.runs import speeds
    from dopsd.study import plan as job

    params = load()
    study = job.opened(params)
    if params.picture_probe:
        _of_pictures(study)
        return
    rows = job.plan(study)
    ran = job.on_record()
    print(job.table(rows, speeds(ran)).to_markdown(index=False))
    print(job.by_record(rows, ran))
    print(job.disk(study, rows))
    print(job.memory(study.params.backbone, study.params.train))


def _of_pictures(study: Study) -> None:
    """The same of a study of pictures, before it begins, too: by timed steps where it has no runs of its own."""
    from dopsd.config.runs import speeds
    from dopsd.study import costs
    from dopsd.study import plan as job

    params = study.params
    rows, ran, found = costs.ahead(study), job.on_record(), costs.timed(params)
    print(job.table(rows, speeds(ran) or (found.speeds if found else {})).to_markdown(index=False))
    print()
    print(costs.by_method(study, rows, found).to_markdown(index=False, disable_numparse=True))
    print()
    print(costs.downloads(params).to_markdown(index=False, disable_numparse=True))
    print()
    print(costs.fetching(params))
    print(costs.hours(rows, found) if found and not ran else job.by_record(rows, ran))
    if taken := costs.disk(study):
        copies = f"{costs.COPIES} copies (store, outputs, DVC's cache)"
        print(f"disk: about {sum(taken.values()):.0f} GiB more, in {copies}")
    else:
        print(job.disk(study, rows))
    print(costs.memory(found, params) if found else job.memory(params.backbone, params.train))


def publish(
    to: Annotated[str, typer.Option(help="a new folder: a path, s3://BUCKET/FOLDER, hf://models/USER/REPO, ...")],
    folder: Folder = Path("."),
    methods: Annotated[
        list[str] | None,
        typer.Option(help="in place of the two that the study compares; may be given several times"),
    ] = None,
) -> None:
    """Publish the LoRAs behind a study's headline, for diffusers and ComfyUI: a card each with its scores, and an index."""
    place = arguments.place(to, "--to")
    again = "dvc repro" if folder == Path(".") else f"dvc repro {folder / 'dvc.yaml'}"
    _enter(folder)
    from dopsd.commands import publish as job

    print(printable(job.publish(place, methods or (), again)))
