"""claims.yaml answered: each claim's number with its interval, what its controls did, and the verdict.

Asked in few steps, at matched concept fidelity (`tables.matched`) or at the last step; the grid's concepts are the units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from dopsd.config.claims import Claim
from dopsd.config.study import Compared
from dopsd.evaluation.statistics import interval
from dopsd.report.cells import Key, Steps, at
from dopsd.report.names import label
from dopsd.report.tables import against_untouched, last, lines, number_text, numbered

COLUMN = {"method": "", "baseline": "against", "difference": "difference"}  # of `tables.matched`
COLUMNS = [
    "id",
    "claim",
    "score",
    "value",
    "low",
    "high",
    "n_units",
    "bar",
    "must_hold",
    "held",
    "must_fail",
    "failed",
    "verdict",
]
Number = tuple[float, float | None, float | None]


def side(claim: Claim, number: Number) -> str:
    """ "holds" or "fails" where the whole interval is on one side of the bar, else "open"; a number without an interval is on
    one side, too, but only a control may be one."""
    value, low, high = number
    low, high = (value if x is None or x != x else x for x in (low, high))
    beyond, short = (high <= claim.bar, low > claim.bar) if claim.at_most else (low >= claim.bar, high < claim.bar)
    return "holds" if beyond else "fails" if short else "open"


def _rows(cells: Mapping[Key, Steps], method: str, fidelity: str, few: int) -> dict[tuple[str, int], dict[str, float]]:
    """Every cell's last row of a method, beside the untouched model's."""
    out = {}
    for (who, concept, seed), steps in cells.items():
        if who == method:
            untouched, described = (
                at(last(cells[key]), few) if (key := (r, concept, seed)) in cells else None
                for r in ("untouched", "described")
            )
            row = at(last(steps), few)
            beside = against_untouched(row, untouched, described, fidelity) if untouched else {}
            out[concept, seed] = row | beside
    return out


def _number(rows: Mapping[tuple[str, int], Mapping[str, float]], score: str) -> Number | None:
    if not rows or not all(score in row for row in rows.values()):
        return None
    found = interval([row[score] for row in rows.values()], numbered([concept for concept, _ in rows]))
    return found["value"], found["low"], found["high"]


def _measured(
    claim: Claim, cells: Mapping[Key, Steps], matched: pd.DataFrame, compare: Compared, fidelity: str, few: int
) -> Number | None:
    """The claim's number; None where the study does not measure it."""
    if claim.at == "matched":
        table = matched[matched.method == compare.method].set_index("score")
        if claim.score not in table.index:
            return None
        column = COLUMN[claim.of]
        ends = ("value", "low", "high") if not column else (column, f"{column}_low", f"{column}_high")
        value, low, high = (float(table.loc[claim.score, name]) for name in ends)
        return value, low, high
    mine, other = (_rows(cells, who, fidelity, few) for who in (compare.method, compare.baseline))
    if claim.of != "difference":
        return _number(mine if claim.of == "method" else other, claim.score)
    pairs = [u for u in mine if claim.score in mine[u] and claim.score in other.get(u, {})]
    return _number({u: {claim.score: mine[u][claim.score] - other[u][claim.score]} for u in pairs}, claim.score)


def answers(
    claims: Sequence[Claim],
    cells: Mapping[Key, Steps],
    matched: pd.DataFrame,
    compare: Compared,
    fidelity: str,
    few: int,
) -> pd.DataFrame:
    """Every claim with its number, its controls' and the verdict: `COLUMNS`. Verdicts: holds, fails, open; "not decidable"
    where a control did not do what it must; "not measured" where the study has not what the claim is about."""
    names, rows = {"method": label(compare.method), "baseline": label(compare.baseline)}, []
    concepts = len({concept for _, concept, _ in cells})
    for claim in claims:
        number, controls, did = _measured(claim, cells, matched, compare, fidelity, few), {}, []
        for role, who, must in (("held", claim.must_hold, "holds"), ("failed", claim.must_fail, "fails")):
            found = _number(_rows(cells, who, fidelity, few), claim.score) if who else None
            controls[role] = number_text(*found) if found else ""
            did += [found is not None and side(claim, found) == must] if who else []
        if number is None:
            verdict = "not measured"
        elif not all(did) or number[1] is None or number[1] != number[1]:
            verdict = "not decidable"
        else:
            verdict = side(claim, number)
        value, low, high = number or (None, None, None)
        rows.append(
            {
                "id": claim.id,
                "claim": claim.claim.format(**names),
                "score": claim.score,
                "value": value,
                "low": low,
                "high": high,
                "n_units": concepts,
                "bar": f"{'<=' if claim.at_most else '>='} {claim.bar:g}",
                "must_hold": claim.must_hold or "",
                "must_fail": claim.must_fail or "",
                **controls,
                "verdict": verdict,
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def answers_markdown(table: pd.DataFrame) -> str:
    """`answers` as Markdown."""
    if table.empty:
        return "Nothing is asked: the study has no claims.yaml."
    shown = table.assign(
        measured=[number_text(r.value, r.low, r.high) if pd.notna(r.value) else "" for r in lines(table)],
        holding=[f"{label(r.must_hold)}: {r.held}" if r.must_hold else "none" for r in lines(table)],
        failing=[f"{label(r.must_fail)}: {r.failed}" if r.must_fail else "none" for r in lines(table)],
    )
    columns = ["claim", "bar", "measured", "holding", "failing", "verdict"]
    titles = {"holding": "control that must hold", "failing": "control that must fail"}
    table = pd.DataFrame(shown, columns=columns).rename(columns=titles)
    return table.to_markdown(index=False, disable_numparse=True)
