"""The page's opening: what a newcomer asks, answered from the ledger, each answer with its numbers and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import safe_open

from dopsd import objectives
from dopsd.report.claimed import PLACES, bar, measured, p_text, survives
from dopsd.report.claims import UNDECIDABLE, UNMEASURED
from dopsd.report.names import label
from dopsd.report.site.places import place
from dopsd.report.site.studies import Study
from dopsd.report.tables import lines, number_text
from dopsd.support.files import read_json
from dopsd.training import prepared

COSTS = Path("benchmarks/results/h200-miniature-costs.json")
LEADS = {
    "holds": "Yes",
    "fails": "No",
    "open": "Not shown: the interval contains the bar",
    UNDECIDABLE: "Not decidable",
    UNMEASURED: "Not measured",
}
NOT_ASKED = "Not asked"


class Question(NamedTuple):
    """A question, and the claims that answer it: it is "yes" where the first one holds. beside: a score of which both
    compared methods are set side by side."""

    asks: str
    claims: tuple[str, ...]
    beside: str = ""


class Said(NamedTuple):
    """A claim in a sentence; anchor: its place in the page's ledger; turns: what would turn its verdict."""

    anchor: str
    claim: str
    number: str
    verdict: str
    known: str
    turns: str


class Answered(NamedTuple):
    """A question with its answer: one word or a few, sentences of the ledger, and further sentences."""

    asks: str
    lead: str
    verdict: str
    said: list[Said]
    more: list[str]


QUESTIONS = (
    Question(
        "Does SFT, plain fine-tuning, destroy few steps here, and by how much?",
        ("baseline-loses-contrast", "baseline-blurs", "hidden-in-many-steps"),
    ),
    Question(
        "Does D-OPSD keep them?",
        ("method-keeps-contrast", "method-stays-sharp", "sharper", "smaller-gap"),
        "contrast_kept",
    ),
    Question("Does D-OPSD learn the concept?", ("learns", "learns-styles")),
    Question("Does either bind the name, so that nothing but the name calls the concept?", ("binds", "baseline-binds")),
    Question("Are ordinary prompts left as they were?", ("method-keeps-ordinary", "keeps-ordinary", "leaks-less")),
    Question(
        "Do the teacher's targets keep more contrast than the data's, on as many noised states? (Times and weighting differ, "
        "too; compute, states and other pictures: beneath.)",
        ("targets", "not-compute", "not-more-states", "not-the-data", "states"),
    ),
)
KEEPS = ("contrast_kept", "last", ">=")  # a claim that a method keeps few steps: its score, where, which way


def anchor(study: Study, record: Mapping[str, Any]) -> str:
    """A claim's place in the page."""
    return f"claim-{study.name}-{record['id']}"


def told(verdict: str, record: Mapping[str, Any]) -> str:
    """A verdict, and whether it stands by the claim's own interval alone."""
    return f"{verdict} by its own interval alone" if survives(record) is False else verdict


def said(study: Study, record: Mapping[str, Any]) -> Said:
    """A claim as a sentence, with the controls that say what its number means."""
    p = f", p {p_text(record['p_holm'])} after Holm's correction" if record["p_holm"] is not None else ""
    number = f"{measured(record)}, {place(record['score'])}, {PLACES[record['at']]}"
    if record["value"] is not None:
        number += f", over {record['n_units']} {study.units}; the bar is {bar(record)}{p}"
    controls = (c for c in study.controls[record["id"]] if c["value"] is not None)
    known = "; ".join(f"{label(c['row'])} {measured(c)}" for c in controls)
    verdict = told(record["verdict"], record)
    turns = f"Against it would count: {record['against']}."
    if record["verdict"] == "fails":
        turns = f"An interval that lies wholly at {bar(record)} would turn it."
    return Said(anchor(study, record), record["claim"], number, verdict, known, turns)


def beside(study: Study, score: str) -> list[str]:
    """Both compared methods' values of a score at equal fidelity, and their paired difference; [] where none is measured."""
    table, who = study.table("pairs"), study.params.compare
    if table is None:
        return []
    rows = table.loc[(table["at"] == "fidelity") & (table.score == score) & (table.baseline == who.baseline)]
    return [
        f"At equal fidelity new scenes of {label(who.method)} have {number_text(r.value, r.low, r.high)} of the described "
        f"row's contrast, of {label(who.baseline)} {number_text(r.against, r.against_low, r.against_high)}: a paired "
        f"difference of {number_text(r.difference, r.difference_low, r.difference_high, sign=True)}."
        for r in lines(rows.loc[rows.method == who.method])
    ]


def answer(study: Study, question: Question) -> Answered:
    """A question answered by the claims of the study that it names, as far as they are asked there."""
    by = {record["id"]: record for record in study.records}
    mine = [by[i] for i in question.claims if i in by]
    if not mine or mine[0]["id"] != question.claims[0]:
        return Answered(question.asks, NOT_ASKED, UNMEASURED, [said(study, r) for r in mine], [])
    first = mine[0]
    lead = LEADS[first["verdict"]]
    lead += ", by its own interval alone" if survives(first) is False else ""
    return Answered(
        question.asks, lead, first["verdict"], [said(study, r) for r in mine], beside(study, question.beside)
    )


def cost(study: Study) -> Answered:
    """What the compared method costs over its baseline."""
    asks, (method, baseline) = "What does it cost?", (study.params.compare.method, study.params.compare.baseline)
    table, more = study.table("costs"), []
    rows = {} if table is None else {r.method: r for r in lines(table)}
    if method not in rows:
        return Answered(asks, NOT_ASKED, UNMEASURED, [], [])
    r = rows[method]
    more.append(
        f"A step of {label(method)} is {r.forwards_a_step} forwards of the generator for each sample, {label(baseline)}'s "
        f"{rows[baseline].forwards_a_step} (a backward pass counted as two); a training is {r.forwards} and "
        f"{rows[baseline].forwards}."
    )
    if COSTS.exists() and method in (timed := read_json(COSTS))["methods"]:
        t = timed["methods"][method]
        more.append(
            f"On one {timed['device']}, a step takes {t['seconds_over']:.2f} times the seconds and adds "
            f"{t['mib_over']:.2f} times the memory of {label(timed['baseline'])}'s (on the miniature)."
        )
    return Answered(asks, f"{r.forwards_a_step_over:.2f} times {label(baseline)}'s forwards a step", "", [], more)


def cheapest(study: Study) -> Answered:
    """Which method, of those that a claim asks whether they keep few steps, costs least."""
    asks, table = "Which remedy that keeps few steps is cheapest?", study.table("costs")
    keeps = [r for r in study.records if (r["score"], r["at"], r["direction"]) == KEEPS and r["of"] == "method"]
    if table is None or not keeps:
        return Answered(asks, NOT_ASKED, UNMEASURED, [], [])
    over = {r.method: float(r.forwards_over) for r in lines(table)}
    good = sorted((r for r in keeps if r["verdict"] == "holds"), key=lambda r: over[r["method"]])
    if not good:
        return Answered(asks, "None is shown to", "open", [said(study, r) for r in keeps], [])
    best = good[0]["method"]
    kind = objectives.method(best, study.params.methods, study.params.where).kind
    lead = f"{label(best)}, at {over[best]:.2f} times {label(study.params.compare.baseline)}'s forwards"
    more = [f"{label(best)}: {objectives.objective(kind).SAYS}."]
    asked = prepared.of(objectives.method(best, study.params.methods, study.params.where))
    if asked and asked.base:
        more.append("It needs the undistilled base, which is not published of every few-step model.")
    return Answered(asks, lead, "holds", [said(study, r) for r in [*good, *(r for r in keeps if r not in good)]], more)


def undecided(study: Study) -> Answered:
    """What could not be decided, and why."""
    asks = "What was not decidable, and why?"
    mine = [r for r in study.records if r["verdict"] in (UNDECIDABLE, UNMEASURED)]
    more = []
    for record in mine:
        wrong = [c for c in study.controls[record["id"]] if not c["did"]]
        faults = "; ".join(f"{label(c['row'])} must {c['must']} and has {measured(c)}: {c['why']}" for c in wrong)
        more.append(f"{record['claim']}: {faults or 'this study has not what it is about'}.")
    lead = f"{len(mine)} of {len(study.records)} claims"
    return Answered(asks, lead if mine else "Nothing", UNDECIDABLE if mine else "", [], more)


def answers(study: Study) -> list[Answered]:
    """All of the opening's questions."""
    return [*(answer(study, q) for q in QUESTIONS), cost(study), cheapest(study), undecided(study)]


def changing(found: Sequence[Answered]) -> list[Said]:
    """Of each question that a claim answers this claim: what would count against it would change the answer."""
    return [a.said[0] for a in found if a.said and a.lead != NOT_ASKED and a.verdict in ("holds", "fails", "open")]


def weights(folder: Path) -> int | None:
    """How many weights the safetensors files of a folder hold; None where there are none."""
    total = 0
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "np") as held:
            total += sum(prod(held.get_slice(name).get_shape()) for name in held.keys())  # noqa: SIM118 - no mapping
    return total or None
