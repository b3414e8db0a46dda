"""The answers to claims.yaml as files: claims.json, controls.json and tables/claims.csv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dopsd.report.claims import Answer, Control, Found
from dopsd.report.ledger import Committed
from dopsd.report.names import label
from dopsd.report.ranks import Ranked
from dopsd.report.tables import number_text
from dopsd.support.files import rounded

COLUMNS = ["id", "claim", "score", "at", "value", "low", "high", "n_units", "bar"]
COLUMNS += ["must_hold", "held", "must_fail", "failed", "p", "p_holm", "verdict"]
AND = "; "  # between controls of one side


def _said(text: str, answer: Answer) -> str:
    return text.format(method=label(answer.method), baseline=label(answer.baseline))


def _number(found: Found | Ranked | None) -> dict[str, Any]:
    value, low, high = found.number if found else (None, None, None)
    return {"value": value, "low": low, "high": high, "n_units": found.n if found else 0}


def table(answers: Sequence[Answer]) -> pd.DataFrame:
    """A row a claim: `COLUMNS`. must_hold and must_fail name the controls, held and failed are their numbers."""
    rows = []
    for answer in answers:
        claim, row = answer.claim, {"at": answer.claim.at, **_number(answer.found)}
        for must, name, says in (("hold", "must_hold", "held"), ("fail", "must_fail", "failed")):
            mine = [control for control in answer.controls if control.must == must]
            row |= {name: AND.join(c.row for c in mine)}
            row |= {says: AND.join(number_text(*c.found.number) if c.found else "" for c in mine)}
        row |= {"id": claim.id, "claim": _said(claim.claim, answer), "score": claim.score, "verdict": answer.verdict}
        row |= {"bar": f"{'<=' if claim.at_most else '>='} {claim.bar:g}", "p": answer.p, "p_holm": answer.p_holm}
        rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def records(answers: Sequence[Answer], committed: Mapping[str, Committed]) -> list[dict[str, Any]]:
    """claims.json: an object a claim, with its number over the concepts and on each seed, and when git got its bar."""
    out = []
    for answer in answers:
        claim, found, since = answer.claim, answer.found, committed[answer.claim.id]
        says = {
            "id": claim.id,
            "family": claim.family,
            "claim": _said(claim.claim, answer),
            "paper": claim.paper,
            "score": claim.score,
        }
        says |= {"of": claim.of, "at": claim.at, "method": answer.method, "baseline": answer.baseline}
        measured = _number(found) | {"by_seed": {str(s): v for s, v in found.by_seed.items()} if found else {}}
        asked = {"bar": claim.bar, "direction": "<=" if claim.at_most else ">="}
        said = {"p": answer.p, "p_holm": answer.p_holm, "verdict": answer.verdict, "seen": claim.seen}
        said |= {"smallest": claim.smallest}
        said |= {"against": _said(claim.against, answer)}
        history = {"claims_commit": since.commit, "claims_date": since.date, "changes": since.changes}
        out.append(rounded(says | measured | asked | said | history))
    return out


def controls(answers: Sequence[Answer]) -> dict[str, list[dict[str, Any]]]:
    """controls.json: of each claim what every control was to do, its number, and whether it did."""
    return {answer.claim.id: [rounded(_control(c)) for c in answer.controls] for answer in answers}


def _control(control: Control) -> dict[str, Any]:
    known = {"row": control.row, "must": control.must, **_number(control.found)}
    return known | {"did": control.did, "why": control.why}
