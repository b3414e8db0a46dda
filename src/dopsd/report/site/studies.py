"""The studies of the repository, as their committed reports have them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dopsd import objectives
from dopsd.config import chains, runs
from dopsd.config.params import FILE, Params, load
from dopsd.report.claimed import Controls, Records
from dopsd.report.names import called_as_in
from dopsd.support.errors import UserError
from dopsd.support.files import read_csv, read_json
from dopsd.support.text import json_value, read_text

STUDIES, REPORTS, LEDGER = Path("studies"), Path("reports"), "claims.json"


@dataclass(frozen=True)
class Study:
    """A study that has been run: its folder, its settings, its ledger and what its controls did."""

    folder: Path
    params: Params
    records: Records
    controls: Controls

    @property
    def name(self) -> str:
        """Its folder's; "sample" for the root's, which is a sample of the full one."""
        return self.folder.name or "sample"

    @property
    def turbos(self) -> bool:
        """Whether each seed tunes a few-step model of its own."""
        return bool(self.params.grid.turbos)

    @property
    def chained(self) -> bool:
        """Whether it teaches one model several concepts, one after another."""
        return (self.folder / chains.FILE).exists()

    @property
    def sets(self) -> tuple[tuple[str, ...], ...]:
        """The sets of concepts that it teaches so."""
        return chains.load(self.params.grid.concepts, self.folder / chains.FILE).sets

    @property
    def units(self) -> str:
        """What its intervals are over."""
        return "sets" if self.chained else "concepts"

    def file(self, name: str) -> Path:
        """Of its reports."""
        return self.folder / REPORTS / name

    def has(self, name: str) -> bool:
        return self.file(name).exists()

    def link(self, name: str) -> str:
        """The same, as the page links it."""
        return relative(self.file(name))

    def table(self, name: str) -> pd.DataFrame | None:
        """One of reports/tables; None where the study has none of that name."""
        file = self.file(f"tables/{name}.csv")
        return read_csv(file) if file.exists() else None

    def prompts(self, concept: str) -> list[str]:
        """What stands above the columns of a concept's sheet; [] where that is not on record."""
        file = self.file("figures/sheets/prompts.csv")
        if not file.exists():
            return []
        rows = read_csv(file, "concept", "column", "prompt")
        return list(rows.loc[rows.concept == concept].sort_values("column").prompt.astype(str))

    def probed(self) -> tuple[str, str, dict[str, Any]]:
        """The encoder and the number of steps that its probe tells of first, and the scores there."""
        found = read_json(self.file("metrics/probe.json"))
        vlm = next(iter(found))
        nfe = next(iter(found[vlm]))
        return vlm, nfe, found[vlm][nfe]

    def devices(self) -> str:
        """What its cells ran on, as its report says."""
        said = r"(?:All cells ran on|ran on different devices): (.+?)\.(?:\*\*|\n)"
        found = re.search(said, read_text(self.file("REPORT.md")))
        return found[1] if found else "not on record"

    def ran(self) -> tuple[runs.Run, ...]:
        """Who ran it; () where nobody wrote it down."""
        return runs.load(self.folder / runs.FILE)

    @contextmanager
    def called(self) -> Iterator[None]:
        """Within it rows are called as the study calls them."""
        methods, where = self.params.methods, self.params.where
        with called_as_in({name: objectives.method(name, methods, where) for name in methods}):
            yield


def here(params: Params) -> Study:
    """The study whose folder this is, before its claims are answered."""
    folder = Path.cwd()
    return Study(folder if folder.parent.name == STUDIES.name else Path(), params, [], {})


def relative(file: Path) -> str:
    """A file of the repository, from the page's folder."""
    path = file.as_posix()
    return path.removeprefix("reports/") if path.startswith("reports/") else f"../{path}"


def command(folder: Path) -> str:
    """What runs a study."""
    return f"dvc repro {(folder / 'dvc.yaml').as_posix()}" if folder.name else "dvc repro"


def opened(folder: Path) -> Study | None:
    """A study by its folder; None where it has not been run. UserError where its files are broken."""
    ledger = folder / REPORTS / LEDGER
    if not ledger.exists():
        return None
    records: Any = json_value(read_text(ledger), str(ledger))
    if not isinstance(records, list):
        raise UserError(f"{ledger}: no list of claims; delete it and run `{command(folder)}`")
    with chdir(folder):
        params = load(FILE)
    return Study(folder, params, records, read_json(folder / REPORTS / "controls.json"))


def found(root: Path = Path()) -> dict[str, Study]:
    """All studies that have been run, the root's first, by their names."""
    folders = [root, *sorted(file.parents[1] for file in (root / STUDIES).glob(f"*/{REPORTS}/{LEDGER}"))]
    return {study.name: study for study in map(opened, folders) if study}
