"""CLAIMS.md: the ledger as a page that stands alone, from claims.json and controls.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from dopsd.report.claimed import (
    PLACES,
    Controls,
    Records,
    bar,
    by_family,
    changed,
    committed,
    control,
    measured,
    p_text,
    seeds,
    survives,
)
from dopsd.report.claims import UNDECIDABLE, UNMEASURED
from dopsd.report.names import SCORES, label, score_name

VERDICTS = ("holds", "fails", "open", UNDECIDABLE, UNMEASURED)


def counts(records: Records) -> str:
    """How many claims of each family have each verdict, and how many hold after Holm's correction, too."""
    rows = []
    for family, mine in by_family(records).items():
        row: dict[str, Any] = {"family": family}
        for verdict in VERDICTS:
            row[verdict] = sum(r["verdict"] == verdict for r in mine)
            if verdict == "holds":
                row["of these with p <= .05"] = sum(survives(r) is True for r in mine)
        rows.append(row)
    return pd.DataFrame(rows).to_markdown(index=False)


def _rows(record: Mapping[str, Any]) -> str:
    method, baseline = label(record["method"]), label(record["baseline"])
    pair = {"difference": f"{method} less {baseline}", "correlation": f"rank correlation of {method} and {baseline}"}
    return ({"method": method, "baseline": baseline} | pair)[record["of"]]


def entry(record: Mapping[str, Any], known: Controls, turbos: bool, units: str = "concepts") -> dict[str, Any]:
    """What the page says of a claim, in words."""
    score = SCORES.get(record["score"], score_name(record["score"]))
    found = measured(record)
    if record["value"] is not None:
        found += f" over {record['n_units']} {units}; {seeds(record, turbos).replace('<br>', ', ')}"
        found += f"; p {p_text(record['p_holm'])}" if record["p_holm"] is not None else ""
    return dict(record) | {
        "asked": f"{score}: {_rows(record)}, {PLACES[record['at']]}, {bar(record)}",
        "measured": found,
        "controls": [control(c) for c in known[record["id"]]],
        "committed": committed(record),
        "changes": [f"changed later {changed(change)}" for change in record["changes"]],
        "smallest": "" if record["smallest"] is None else f"{record['smallest']:g}",
    }


def families(
    records: Records, known: Controls, turbos: bool, units: str = "concepts"
) -> dict[str, list[dict[str, Any]]]:
    """`entry` of every claim of each family."""
    return {family: [entry(r, known, turbos, units) for r in mine] for family, mine in by_family(records).items()}
