"""REPORT.md and CLAIMS.md of a study of contexts, filled from the files of scores. No number is written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from dopsd.backbones.hub import has_random_weights
from dopsd.config.contexts import Contexts
from dopsd.config.params import Params
from dopsd.evaluation.seen import KNOWN
from dopsd.report import claimed, claims_page, continual
from dopsd.report.claimed import Controls, Records
from dopsd.report.contexts import tables
from dopsd.report.names import label
from dopsd.report.page import filled
from dopsd.world.outside import WORDLESS

HERE = Path(__file__).parent


def asks(params: Params) -> str:
    """How many pictures a cell has, in words."""
    return f"{params.prompts.new} prompts x {params.prompts.noises} noises a concept and few-step model"


def report(
    params: Params, of: Contexts, found: pd.DataFrame, records: Records, controls: Controls, devices: Sequence[str]
) -> str:
    """REPORT.md. found: `tables.table`."""
    rows, turbos = list(of.contexts), bool(params.grid.turbos)
    return filled(
        HERE / "report.md.j2",
        grid=params.grid,
        few=params.evaluate.few,
        asks=asks(params),
        contexts=rows,
        student=of.student,
        teacher=of.teacher,
        wordless=[c for c in params.grid.concepts if c in WORDLESS],
        devices=list(devices),
        sentences=continual.sentences(records),
        negatives=claimed.negatives(records, controls, turbos),
        claims=claimed.tables(records, controls, turbos),
        commits=claimed.commits(records),
        headline=tables.headline(found, rows),
        differences=tables.differences(found, rows),
        attributes=tables.attributes(found, rows),
        leaked=tables.leaked(found, rows),
        torn=tables.torn(found, rows),
        known=tables.headline(found, list(KNOWN)),
        known_attributes=tables.attributes(found, list(KNOWN)),
        label=label,
        random_weights=has_random_weights(params.backbone.model),
    )


def ledger(params: Params, records: Records, controls: Controls) -> str:
    """CLAIMS.md."""
    return filled(
        HERE / "ledger.md.j2",
        counts=claims_page.counts(records) if records else "Nothing is asked: the study has no `claims.yaml`.",
        families=claims_page.families(records, controls, bool(params.grid.turbos)),
        grid=params.grid,
    )
