"""REPORT.md's answers to claims.yaml, from claims.json and controls.json: what was asked and found, when each bar was
committed, and, apart, what does not hold or cannot be decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dopsd.evaluation.statistics import LEVEL
from dopsd.report.claims import UNDECIDABLE, UNMEASURED
from dopsd.report.names import label, score_name
from dopsd.report.tables import lines, number_text

Records = Sequence[Mapping[str, Any]]  # claims.json
Controls = Mapping[str, Sequence[Mapping[str, Any]]]  # controls.json
PLACES = {
    "matched": "at equal fidelity",
    "steps": "after equal steps",
    "forwards": "after equal forwards",
    "last": "at the end",
}
DIGITS = 8  # of a commit's name
NEGATIVE = ("fails", UNDECIDABLE, "open", UNMEASURED)


def measured(number: Mapping[str, Any]) -> str:
    """A number of either file with its interval."""
    return number_text(number["value"], number["low"], number["high"]) if number["value"] is not None else UNMEASURED


def bar(record: Mapping[str, Any]) -> str:
    """A claim's bar with its direction."""
    return f"{record['direction']} {record['bar']:g}"


def p_text(p: float) -> str:
    """A p value in three decimals."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def seeds(record: Mapping[str, Any], turbos: bool) -> str:
    """The mean over the concepts on each seed."""
    of = "turbo" if turbos else "seed"
    return "<br>".join(f"{of} {seed}: {number_text(v, None, None)}" for seed, v in record["by_seed"].items())


def control(control: Mapping[str, Any]) -> str:
    did = "" if control["did"] or control["value"] is None else f" (**did not**: {control['why']})"
    return f"must {control['must']}: {label(control['row'])} {measured(control)}{did}"


def by_family(records: Records) -> dict[str, list[Mapping[str, Any]]]:
    """The claims that are asked together, by their family's name in words."""
    out: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        out.setdefault(record["family"].replace("_", " "), []).append(record)
    return out


def survives(record: Mapping[str, Any]) -> bool | None:
    """Whether a claim that holds does so after Holm's correction; None of one that does not, or has no p."""
    p = record["p_holm"] if record["verdict"] == "holds" else None
    return None if p is None else p <= 1 - LEVEL


def committed(record: Mapping[str, Any]) -> str:
    """When a claim's bar was committed, or why nobody knows."""
    commit, date = record["claims_commit"], record["claims_date"]
    return f"committed in `{commit[:DIGITS]}`, {date[:10]}" if date else commit


def changed(change: Mapping[str, Any]) -> str:
    """What of a claim a later commit changed."""
    return f"({', '.join(change['fields'])}) in `{change['commit'][:DIGITS]}`, {change['date'][:10]}"


def tables(records: Records, controls: Controls, turbos: bool, units: str = "concepts") -> dict[str, str]:
    """`table` of each family of claims."""
    return {family: table(rows, controls, turbos, units) for family, rows in by_family(records).items()}


def table(records: Records, controls: Controls, turbos: bool, units: str = "concepts") -> str:
    """A row a claim: the bar, what was measured over how many units and on each seed, its controls, p and the verdict.
    turbos: each seed tunes a few-step model of its own."""
    rows = []
    for record in records:
        p = record["p_holm"]
        rows.append(
            {
                "claim": f"{record['claim']}<br>*{PLACES[record['at']]}*",
                "bar": bar(record),
                "measured": measured(record),
                units: record["n_units"],
                "on each " + ("turbo" if turbos else "seed"): seeds(record, turbos),
                "controls": "<br>".join(map(control, controls[record["id"]])) or "none",
                "p (Holm)": "" if p is None else p_text(p),
                "verdict": f"**{record['verdict']}**",
            }
        )
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)


def commits(records: Records) -> list[str]:
    """When the bars were committed, a sentence a commit, and what of a claim was changed after that."""
    by: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for record in records:
        by.setdefault((record["claims_commit"], record["claims_date"]), []).append(record)
    out = []
    for mine in by.values():
        whose = "all claims" if len(by) == 1 else ", ".join(record["id"] for record in mine)
        out.append(f"The bars of {whose}: {committed(mine[0])}.")
    return out + [f"Changed later: {r['id']} {changed(change)}." for r in records for change in r["changes"]]


def negatives(records: Records, controls: Controls, turbos: bool) -> list[str]:
    """A sentence a claim that does not hold or cannot be decided, the failed ones first, and one for those that hold but for
    Holm's correction; [] where all hold."""
    order = {verdict: k for k, verdict in enumerate(NEGATIVE)}
    found = sorted((r for r in records if r["verdict"] in order), key=lambda r: order[r["verdict"]])
    weak = [r for r in records if survives(r) is False]
    return [_negative(record, controls[record["id"]], turbos) for record in found] + [
        f"**holds by its own interval alone**: {r['claim']} ({PLACES[r['at']]}): {measured(r)}, the bar is {bar(r)}; "
        f"among all claims of its family p is {p_text(r['p_holm'])}."
        for r in weak
    ]


def _fault(control: Mapping[str, Any]) -> str:
    return "is not measured" if control["value"] is None else f"did not ({measured(control)}: {control['why']})"


def _negative(record: Mapping[str, Any], controls: Sequence[Mapping[str, Any]], turbos: bool) -> str:
    says = f"**{record['verdict']}**: {record['claim']}"
    if record["verdict"] == UNMEASURED:
        return f"{says}. This study has not what it is about."
    says += f" ({PLACES[record['at']]}): {measured(record)}, the bar is {bar(record)}"
    if record["verdict"] == UNDECIDABLE:
        wrong = [f"{label(c['row'])} must {c['must']} and {_fault(c)}" for c in controls if not c["did"]]
        return f"{says}; {'; '.join(wrong) or 'one concept has no interval'}."
    if record["verdict"] == "open":
        inside = record["low"] is not None and record["low"] <= record["bar"] <= record["high"]
        why = (
            "the interval contains the bar"
            if inside
            else "the mean on one " + ("turbo" if turbos else "seed") + " lies short of it"
        )
        return f"{says}; {why}."
    return f"{says}."


def power(table: pd.DataFrame) -> str:
    """What a study of so many concepts would find: a row a claim, from `power.power`."""
    rows = []
    for name, mine in table.groupby("id", sort=False):
        first, *others = lines(mine)
        row = {"claim": name, "score": score_name(first.score), "measured": number_text(first.pilot_value, None, None)}
        row |= {"concepts": first.n, "smallest": _distance(first.smallest_effect)}
        rows.append(row | {f"of {r.n} concepts": _distance(r.smallest_effect) for r in others})
    return pd.DataFrame(rows).fillna("").to_markdown(index=False, disable_numparse=True)


def _distance(value: float) -> str:
    return "none" if pd.isna(value) else f"{value:.3f}"
