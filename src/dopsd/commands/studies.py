"""Commands that look into the folder of a study: their arguments."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from dopsd.commands import arguments
from dopsd.support.errors import UserError, printable

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

    study = job.opened(load())
    rows = job.plan(study)
    ran = job.on_record()
    print(job.table(rows, speeds(ran)).to_markdown(index=False))
    print(job.by_record(rows, ran))
    print(job.disk(study, rows))
    print(job.memory(study.params.backbone, study.params.train))


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
