"""claims.yaml answered: each claim's number with its interval, what its controls did, and the verdict.

The grid's concepts are the units. Two rows are compared where their claim says (`Trainings.pair`), in few steps; a control
that is not trained has its last step only. `report.answers` shows what is found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from statsmodels.stats.multitest import multipletests

from dopsd.config.claims import Claim
from dopsd.config.study import Compared
from dopsd.evaluation.statistics import Scale, p_value
from dopsd.report.along import LAST, Trainings
from dopsd.report.ranks import Ranked, ranked
from dopsd.report.scales import misfit, scale
from dopsd.report.units import Values, by_seed, concept_means, over_concepts, whole
from dopsd.support.errors import UserError

Number = tuple[float, float | None, float | None]
WHERE = {"matched": "fidelity", "steps": "steps", "forwards": "forwards", "last": LAST}  # of `Trainings.pair`
UNMEASURED, UNDECIDABLE = "not measured", "not decidable"
WHY = {
    "holds": "all of it lies beyond the bar",
    "fails": "all of it lies short of the bar",
    "open": "its interval contains the bar",
}


@dataclass(frozen=True)
class Found:
    """A number over the concepts: its values, and the scale that mean and interval are taken on."""

    values: Values
    scale: Scale

    @property
    def number(self) -> Number:
        """The mean and its 95 % interval."""
        out = over_concepts(self.values, self.scale)
        return out["value"], out["low"], out["high"]

    @property
    def means(self) -> list[float]:
        """Each concept's mean over its seeds."""
        return concept_means(self.values)

    @property
    def n(self) -> int:
        """How many concepts it is over."""
        return len(self.means)

    @property
    def by_seed(self) -> dict[int, float]:
        """The mean over the concepts on each seed."""
        return by_seed(self.values, self.scale)

    def p(self, bar: float) -> float | None:
        """Two-sided p of the t test against a bar; None where one concept has it."""
        return p_value(self.means, bar, scale=self.scale)


@dataclass(frozen=True)
class Control:
    """A row whose answer is known. must: "hold" or "fail"; found: its number, None where it is not measured."""

    row: str
    must: str
    found: Found | Ranked | None
    did: bool
    why: str


@dataclass(frozen=True)
class Answer:
    """What a study says of a claim. method, baseline: the rows that it is about; p: against its bar; p_holm: the same among
    all claims that can be decided."""

    claim: Claim
    method: str
    baseline: str
    found: Found | Ranked | None
    controls: tuple[Control, ...]
    verdict: str
    p: float | None = None
    p_holm: float | None = None

    @property
    def decidable(self) -> bool:
        return self.verdict not in (UNMEASURED, UNDECIDABLE)


def side(claim: Claim, number: Number) -> str:
    """ "holds" or "fails" where the whole interval is on one side of the bar, else "open"; a number without an interval is on
    one side, too, but only a control may be one."""
    value, low, high = number
    low, high = (value if x is None or x != x else x for x in (low, high))
    beyond, short = (high <= claim.bar, low > claim.bar) if claim.at_most else (low >= claim.bar, high < claim.bar)
    return "holds" if beyond else "fails" if short else "open"


def rows_of(claim: Claim, compare: Compared) -> tuple[str, str]:
    """A claim's own method and baseline."""
    return claim.method or compare.method, claim.baseline or compare.baseline


def _found(
    claim: Claim, trainings: Trainings, kinds: Mapping[str, str], method: str, baseline: str, place: str
) -> Found | Ranked | None:
    """The number that a claim asks for of these rows at a place; None where the study does not measure it."""
    score, both = claim.score, {}
    if place == LAST and claim.of in ("method", "baseline"):
        rows = trainings.last(method if claim.of == "method" else baseline)
        values = {unit: row[score] for unit, row in rows.items() if score in row}
    else:
        rows = trainings.pair(place, method, baseline)
        both = {unit: (a[score], b[score]) for unit, (a, b) in rows.items() if score in a and score in b}
        of = {"method": lambda a, _: a, "baseline": lambda _, b: b}.get(claim.of, lambda a, b: a - b)
        values = {unit: of(*pair) for unit, pair in both.items()}
    asked = {unit for unit in rows if claim.concepts in ("all", "object" if kinds[unit[0]] == "object" else "style")}
    values = whole({unit: v for unit, v in values.items() if unit in asked}, asked)
    if claim.of == "correlation":
        return ranked({unit: both[unit] for unit in values})
    on: Scale = "plain" if claim.of == "difference" else scale(score)
    return Found(values, on) if values and not misfit(values.values(), on) else None


def _control(claim: Claim, must: str, row: str, found: Found | Ranked | None) -> Control:
    if found is None:
        return Control(row, must, None, False, UNMEASURED)
    where = side(claim, found.number)
    return Control(row, must, found, where == {"hold": "holds", "fail": "fails"}[must], WHY[where])


def _answer(
    claim: Claim, trainings: Trainings, kinds: Mapping[str, str], method: str, baseline: str, turbos: bool
) -> Answer:
    controls = []
    for must, rows in (("hold", claim.must_hold), ("fail", claim.must_fail)):
        for row in rows:  # it stands in the place of the row that the claim is about
            pair = (method, row) if claim.of == "baseline" else (row, baseline)
            place = WHERE[claim.at] if row in trainings.trained else LAST
            controls.append(_control(claim, must, row, _found(claim, trainings, kinds, *pair, place)))
    found = _found(claim, trainings, kinds, method, baseline, WHERE[claim.at])
    answer = Answer(claim, method, baseline, found, tuple(controls), UNMEASURED)
    if found is None:
        return answer
    if misfit([claim.bar], found.scale):
        raise UserError(
            f"claims.yaml: {claim.id}: bar: {claim.bar:g} is no {found.scale}, as {claim.score} is one; mend it"
        )
    answer = replace(answer, p=found.p(claim.bar))
    if not all(c.did for c in controls) or answer.p is None:
        return replace(answer, verdict=UNDECIDABLE)
    verdict = side(claim, found.number)
    on_each = [side(claim, (value, None, None)) for value in found.by_seed.values()] if turbos else []
    return replace(answer, verdict="open" if verdict == "holds" and "fails" in on_each else verdict)


def answers(
    claims: Sequence[Claim], trainings: Trainings, kinds: Mapping[str, str], compare: Compared, turbos: bool = False
) -> list[Answer]:
    """Every claim answered. kinds: concept -> "object", or a style's.

    Verdicts: "holds" where the whole interval is beyond the bar (and, where each seed tunes a turbo of its own, the mean on
    each), "fails" where it is short of it, "open" else; "not decidable" where a control did not do what it must or there is
    no interval; "not measured" where the study has not what the claim is about. UserError where a claim compares a row that
    is not trained along training, or its bar is not of its score's scale.
    """
    out = []
    for claim in claims:
        rows = rows_of(claim, compare)
        for row in rows if claim.at != "last" else ():
            if row in trainings.points and row not in trainings.trained:
                raise UserError(
                    f"claims.yaml: {claim.id}: at: {row} is not trained, so it has a last step only; write `last`"
                )
        out.append(_answer(claim, trainings, kinds, *rows, turbos))
    for family in dict.fromkeys(answer.claim.family for answer in out):
        tested = [k for k, answer in enumerate(out) if answer.decidable and answer.claim.family == family]
        if tested:
            corrected = np.asarray(multipletests([out[k].p for k in tested], method="holm")[1])
            for k, p in zip(tested, corrected, strict=True):
                out[k] = replace(out[k], p_holm=float(p))
    return out
