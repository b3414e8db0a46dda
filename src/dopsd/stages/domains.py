"""Stage `domains`: write a study's domains of the world as folders of pictures, and what is asked of them."""

from __future__ import annotations

import shutil
from pathlib import Path

from dopsd.config.params import load
from dopsd.stages._run import run
from dopsd.study.domains import asked, domains, pictures
from dopsd.support.errors import UserError


def main() -> None:
    """Write the folders that params.yaml's fetch.folders names, and the files of prompts.folder."""
    params = load()
    if params.prompts.source != "files" or not params.prompts.folder:
        raise UserError(
            f"{params.where('prompts', 'source')}: prompts.source: a study of domains has files, and a folder"
        )
    for folder in domains(params):
        shutil.rmtree(folder, ignore_errors=True)
        pictures(params, folder)
    asked(params, Path(params.prompts.folder))


if __name__ == "__main__":
    run(main)
