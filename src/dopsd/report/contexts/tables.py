"""The numbers of a study of contexts: each context's, and its paired differences to the student's and to the teacher's.

Beside the scores of new scenes (`report.cells`):

    shown_fidelity      share of the attributes of the concept that is seen that are drawn
    leaks_size, ...     how often the seen picture's value of an attribute that is none of its concept's is drawn where the
                        prompt leaves it open; chance_...: the same of the student's pictures, held against the same ones
    leaks               their mean over the attributes; leaks_by_chance: the student's; leaks_added: the difference
    overrules, obeys    of attributes where prompt and seen picture disagree: drawn as in the picture, as the prompt says
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

import pandas as pd

from dopsd.config.contexts import Contexts
from dopsd.evaluation.leaks import LEAKS, OBEYS, OVERRULES
from dopsd.evaluation.statistics import Scale
from dopsd.report.along import LAST, Row, Trainings
from dopsd.report.cells import FIDELITY, flat
from dopsd.report.names import label, score_name
from dopsd.report.scales import misfit, scale
from dopsd.report.tables import lines, number_text
from dopsd.report.units import Unit, Values, concept_means, over_concepts, whole
from dopsd.study.context_score import BY_CHANCE, SHOWN
from dopsd.world.scenes import NAMES

OWN, UNTOUCHED = "own_", "untouched"
ALL, CHANCE, ADDED = "leaks", "leaks_by_chance", "leaks_added"
SHARES = (ALL, CHANCE, OVERRULES, OBEYS)
HEADLINE = {
    FIDELITY: "concept fidelity",
    "adherence": "adherence to the rest",
    ALL: "of the seen picture, beside the concept",
    CHANCE: "the same by the student",
    "blur_read": "blur, pixels",
    "contrast": "contrast (1 = renders)",
}
LESS = {  # the differences that are shown: a score, and from whom
    (FIDELITY, "student"): "concept fidelity, less the student's",
    (FIDELITY, "teacher"): "concept fidelity, less the teacher's",
    ("adherence", "student"): "adherence, less the student's",
    ("adherence", "teacher"): "adherence, less the teacher's",
    (ADDED, ""): "of the seen picture, less the student's share",
}
TORN = {OVERRULES: "drawn as in the picture", OBEYS: "drawn as the prompt says"}
SCORES = (
    *(FIDELITY, SHOWN, *(f"{OWN}{a}" for a in NAMES), "adherence", ALL, CHANCE, ADDED),
    *(f"{of}{LEAKS}{a}" for a in NAMES for of in ("", BY_CHANCE)),
    *(OVERRULES, OBEYS, "blur_read", "contrast", "steepness", "clip_i", "copying", "diversity"),
)
COLUMNS = ["score", "context", "n", "value", "low", "high"]
COLUMNS += [f"less_{who}{end}" for who in ("student", "teacher") for end in ("", "_low", "_high")]


def _leaks(row: Row) -> Row:
    """The means over the attributes that both the context's and the student's pictures let be seen."""
    both = [a for a in NAMES if f"{LEAKS}{a}" in row and f"{BY_CHANCE}{LEAKS}{a}" in row]
    if not both:
        return {}
    mine, chance = (fmean(row[f"{of}{LEAKS}{a}"] for a in both) for of in ("", BY_CHANCE))
    return {ALL: mine, CHANCE: chance, ADDED: mine - chance}


def measured(long: pd.DataFrame, student: str, few: int) -> Trainings:
    """The cells of the long table, as claims ask for them: every context a row without training, the student the untouched
    one."""
    cells = {
        key: {step: row | _leaks(row) for step, row in steps.items()} for key, steps in flat(long, few, few).items()
    }
    before = {(UNTOUCHED, c, s): steps for (m, c, s), steps in cells.items() if m == student}
    return Trainings(before | cells, (), FIDELITY, few, {})


def on(score: str) -> Scale:
    """The scale that a score's mean is taken on."""
    if score == ADDED:
        return "plain"
    return "share" if score in SHARES or score.startswith((LEAKS, BY_CHANCE)) else scale(score)


def values(rows: Mapping[Unit, Row], score: str) -> Values:
    """A score's values; {} where it is none of whole concepts, or one has no place on its scale."""
    found = whole({unit: row[score] for unit, row in rows.items() if score in row}, rows)
    return {} if misfit(found.values(), on(score)) else found


def _less(trainings: Trainings, context: str, other: str, score: str) -> list[float | None]:
    """The paired difference with its interval, on the plain scale."""
    pairs = trainings.pair(LAST, context, other)
    both = {unit: (a[score], b[score]) for unit, (a, b) in pairs.items() if score in a and score in b}
    found = whole({unit: a - b for unit, (a, b) in both.items()}, pairs)
    number = over_concepts(found) if found and context != other else {}
    return [number.get(name) for name in ("value", "low", "high")]


def table(trainings: Trainings, rows: Sequence[str], contexts: Contexts) -> pd.DataFrame:
    """`COLUMNS`: of each row means over the concepts with their intervals, seeds averaged within the concept, and the paired
    differences to the student's and the teacher's."""
    out = []
    for score in SCORES:
        for row in rows:
            if found := values(trainings.last(row), score):
                number = over_concepts(found, on(score))
                less = [x for who in (contexts.student, contexts.teacher) for x in _less(trainings, row, who, score)]
                known = (score, row, *(number[name] for name in ("n", "value", "low", "high")), *less)
                out.append(dict(zip(COLUMNS, known, strict=True)))
    return pd.DataFrame(out, columns=COLUMNS).astype(dict.fromkeys(COLUMNS[3:], float))


def by_concept(trainings: Trainings, rows: Sequence[str], kinds: Mapping[str, str]) -> pd.DataFrame:
    """A row a context and concept, its seeds averaged: context, concept, kind, then every score of `SCORES` that is there."""
    out = []
    for row in rows:
        last = trainings.last(row)
        for concept in dict.fromkeys(c for c, _ in last):
            mine = [numbers for (c, _), numbers in last.items() if c == concept]
            shared = [s for s in SCORES if all(s in numbers for numbers in mine)]
            means = {s: round(fmean(numbers[s] for numbers in mine), 5) for s in shared}
            out.append({"context": row, "concept": concept, "kind": kinds[concept]} | means)
    found = pd.DataFrame(out)
    return found.loc[:, [c for c in ("context", "concept", "kind", *SCORES) if c in found]]


def _texts(found: pd.DataFrame, less: str = "") -> dict[tuple[str, str], str]:
    """{(score, row): its number, or its difference to one of the two, in words}."""
    of = [f"less_{less}{end}" for end in ("", "_low", "_high")] if less else ["value", "low", "high"]
    each = found.dropna(subset=[of[0]])
    return {(r.score, r.context): number_text(*(getattr(r, name) for name in of), sign=bool(less)) for r in lines(each)}


def _markdown(rows: Sequence[dict[str, str]]) -> str:
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True) if rows else ""


def headline(found: pd.DataFrame, rows: Sequence[str]) -> str:
    """A row a context, a column a score of `HEADLINE`."""
    text, n = _texts(found), {r.context: r.n for r in lines(found.loc[found.score == FIDELITY])}
    return _markdown(
        [
            {"": label(row), "concepts": str(n.get(row, ""))} | {t: text.get((s, row), "") for s, t in HEADLINE.items()}
            for row in rows
        ]
    )


def differences(found: pd.DataFrame, rows: Sequence[str]) -> str:
    """A row a context, a column a difference of `LESS`."""
    text = {who: _texts(found, who) for who in ("student", "teacher", "")}
    return _markdown(
        [{"": label(row)} | {t: text[who].get((s, row), "") for (s, who), t in LESS.items()} for row in rows]
    )


def attributes(found: pd.DataFrame, rows: Sequence[str]) -> str:
    """A row a context, a column an attribute of the concepts' own, with how many concepts it belongs to."""
    text, mine = _texts(found), found.loc[found.score.str.startswith(OWN)]
    n = mine.groupby("score", sort=False).n.max()
    called = {s: f"{score_name(s.removeprefix(OWN))} ({k} concepts)" for s, k in n.items()}
    return _markdown([{"": label(row)} | {t: text.get((s, row), "") for s, t in called.items()} for row in rows])


def leaked(found: pd.DataFrame, rows: Sequence[str]) -> str:
    """A row a context, a column an attribute: the share of the seen picture's values that is drawn, of what is open, and in
    brackets the student's of the same pictures."""
    value = {(r.score, r.context): r.value for r in lines(found)}
    out = []
    for row in rows:
        line = {"": label(row)}
        for a in NAMES:
            mine, chance = (value.get((f"{of}{LEAKS}{a}", row)) for of in ("", BY_CHANCE))
            if any((f"{LEAKS}{a}", other) in value for other in rows):
                line[score_name(a)] = "" if mine is None or chance is None else f"{mine:.3f} ({chance:.3f})"
        out.append(line)
    return _markdown(out)


def torn(found: pd.DataFrame, rows: Sequence[str]) -> str:
    """A row a context: where prompt and seen picture disagree, who is drawn."""
    text = _texts(found)
    return _markdown(
        [
            {"": label(row)} | {t: text.get((s, row), "") for s, t in TORN.items()}
            for row in rows
            if (OVERRULES, row) in text
        ]
    )


def units(trainings: Trainings, row: str, score: str) -> list[float]:
    """Each concept's mean of a score over its seeds; [] where it is not measured."""
    return concept_means(values(trainings.last(row), score))
