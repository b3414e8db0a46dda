"""A study as a notebook reads it, on record or not."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec

import pandas as pd
from IPython.display import Markdown, display

from dopsd.report.site import contexts, studies
from dopsd.report.site.studies import Study, command
from dopsd.support.errors import UserError

P = ParamSpec("P")
Known = Study | Path  # a study that is on record, or the folder of one that is not


def root() -> None:
    """Work in the repository's root, wherever in it the notebook was opened. UserError where it was opened elsewhere."""
    here = Path.cwd()
    found = next(
        (f for f in (here, *here.parents) if (f / "params.yaml").exists() and (f / "notebooks").is_dir()), None
    )
    if found is None:
        raise UserError("no params.yaml beside notebooks/ here or above; open the notebook in its repository")
    os.chdir(found)


def study(name: str = "") -> Known:
    """A study of studies/, or the root's; its folder where it is not on record."""
    folder = studies.STUDIES / name if name else Path()
    return studies.opened(folder) or folder


def say(text: str) -> None:
    """Show Markdown."""
    display(Markdown(text))


def say_absent(folder: Path) -> None:
    """Say that a study is not on record, and what runs it."""
    say(f"*Not on record here: `{command(folder)}` runs this study.*")


def on_record(show: Callable[Concatenate[Study, P], None]) -> Callable[Concatenate[Known, P], None]:
    """Rows are called as the study calls them; where it is not on record, that is said, and what runs it."""

    @wraps(show)
    def shown(of: Known, *args: P.args, **kwargs: P.kwargs) -> None:
        if isinstance(of, Path):
            return say_absent(of)
        with contexts.called(of):
            show(of, *args, **kwargs)

    return shown


def table_of(of: Study, name: str) -> pd.DataFrame:
    """One of a study's reports/tables. UserError where it has none of that name."""
    found = of.table(name)
    if found is None:
        raise UserError(f"{of.file(f'tables/{name}.csv')}: missing; run `{command(of.folder)}`")
    return found
