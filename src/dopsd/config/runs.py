"""runs.yaml: what ran a study, and for how long. It is written by hand, since no cell keeps how long it took."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from dopsd.config.section import Count, File, Positive, Said, Section, Tree, read
from dopsd.config.yaml import mapping
from dopsd.support.text import read_text

FILE = Path("runs.yaml")


class Run(Section):
    """So many devices at once, what they were and ran with; the seconds of each stage, and the forwards of the generator
    that it ran (a backward pass counted as two), where it runs any."""

    devices: Count
    device: Said
    torch: Said
    seconds: dict[str, Positive]
    forwards: dict[str, Count] = Field(default={})


class Runs(File):
    """All runs that made a study's cells."""

    runs: Annotated[tuple[Run, ...], Field(min_length=1)]


def load(file: Path = FILE) -> tuple[Run, ...]:
    """The runs of a file; () where there is none. UserError where it is wrong."""
    if not file.exists():
        return ()
    return read(Runs, Tree.of(mapping(read_text(file), str(file)), str(file))).runs


def hours(ran: Sequence[Run]) -> float:
    """Hours of all devices."""
    return sum(run.devices * sum(run.seconds.values()) for run in ran) / 3600


def speeds(ran: Sequence[Run]) -> dict[str, float]:
    """Forwards a second of one device, of each stage of which both are on record."""
    work: dict[str, tuple[float, float]] = {}
    for run in ran:
        for stage in run.forwards.keys() & run.seconds.keys():
            done, took = work.get(stage, (0.0, 0.0))
            work[stage] = done + run.forwards[stage], took + run.devices * run.seconds[stage]
    return {stage: done / took for stage, (done, took) in work.items()}
