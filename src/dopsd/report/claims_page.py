"""CLAIMS.md: the ledger as a page that stands alone, from claims.json and controls.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from dopsd.evaluation.statistics import LEVEL
from dopsd.report.claimed import DIGITS, PLACES, Controls, Records, bar, control, measured, p_text, seeds
from dopsd.report.claims import UNDECIDABLE, UNMEASURED
from dopsd.report.names import SCORES, label, score_name

VERDICTS = ("holds", "fails", "open", UNDECIDABLE, UNMEASURED)


def counts(records: Records) -> str:
    """How many claims of each family have each verdict, and how many hold after Holm's correction, too."""
    rows = []
    for family in dict.fromkeys(r["family"] for r in records):
        mine = [r for r in records if r["family"] == family]
        row: dict[str, Any] = {"family": family.replace("_", " ")}
        for verdict in VERDICTS:
            row[verdict] = sum(r["verdict"] == verdict for r in mine)
            if verdict == "holds":
                strong = (
                    r["verdict"] == "holds" and r["p_holm"] is not None and r["p_holm"] <= 1 - LEVEL for r in mine
                )
                row["of these with p <= .05"] = sum(strong)
        rows.append(row)
    return pd.DataFrame(rows).to_markdown(index=False)


def _rows(record: Mapping[str, Any]) -> str:
    method, baseline = label(record["method"]), label(record["baseline"])
    return {"method": method, "baseline": baseline, "difference": f"{method} less {baseline}"}[record["of"]]


def entry(record: Mapping[str, Any], known: Controls, turbos: bool) -> dict[str, Any]:
    """What the page says of a claim, in words."""
    score = SCORES.get(record["score"], score_name(record["score"]))
    found = measured(record)
    if record["value"] is not None:
        found += f" over {record['n_units']} concepts; {seeds(record, turbos).replace('<br>', ', ')}"
        found += f"; p {p_text(record['p_holm'])}" if record["p_holm"] is not None else ""
    when = (
        f"committed in `{record['claims_commit'][:DIGITS]}`, {record['claims_date'][:10]}"
        if record["claims_date"]
        else ""
    )
    changes = [
        f"changed later ({', '.join(c['fields'])}) in `{c['commit'][:DIGITS]}`, {c['date'][:10]}"
        for c in record["changes"]
    ]
    return dict(record) | {
        "asked": f"{score}: {_rows(record)}, {PLACES[record['at']]}, {bar(record)}",
        "measured": found,
        "controls": [control(c) for c in known[record["id"]]],
        "committed": when or record["claims_commit"],
        "changes": changes,
        "smallest": "" if record["smallest"] is None else f"{record['smallest']:g}",
    }


def families(records: Records, known: Controls, turbos: bool) -> dict[str, list[dict[str, Any]]]:
    """`entry` of every claim, by its family's name in words."""
    out: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        out.setdefault(record["family"].replace("_", " "), []).append(entry(record, known, turbos))
    return out
