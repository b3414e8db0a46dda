"""Trained methods side by side, with paired differences: at equal fidelity, steps, forwards, and at the last step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from dopsd.report.along import LAST, PLACES, Row, Trainings, names_of
from dopsd.report.scales import misfit, scale
from dopsd.report.tables import numbers, prefixed
from dopsd.report.units import Unit, by_seed, over_concepts, whole

WHO = ["at", "score", "method", "baseline"]
NUMBERS = ["value", "low", "high", "n"] + [
    f"{of}{end}" for of in ("against", "difference") for end in ("", "_low", "_high")
]
SEED = "difference_seed_"


def pairs(trainings: Trainings, baselines: Sequence[str]) -> pd.DataFrame:
    """Every trained method beside each baseline that is trained, in few steps: columns `WHO`, `NUMBERS` and `SEED` with each
    seed.

    at: "fidelity", "steps" or "forwards", where that is equal (`Trainings.pair`), each score that is measured along training;
    "last", at the last step, the scores that only it has. value is the method's, against the baseline's, each with a 95 %
    interval over the n concepts on the score's scale; the difference is as it is, and its mean over the concepts on each
    seed. A score of which a value has no place on its scale is left out.
    """
    trained, out = trainings.trained, []
    for baseline in (b for b in dict.fromkeys(baselines) if b in trained):
        for method in (m for m in trained if m != baseline):
            who, along = {"method": method, "baseline": baseline}, set()
            for place in PLACES:
                both = trainings.pair(place, method, baseline)
                out += [{"at": place} | who | line for line in paired(both)]
                along |= set(names_of(row for pair in both.values() for row in pair))
            both = trainings.pair(LAST, method, baseline)
            out += [{"at": LAST} | who | line for line in paired(both) if line["score"] not in along]
    seeds = sorted({seed for _, _, seed in trainings.cells})
    return numbers(pd.DataFrame(out, columns=[*WHO, *NUMBERS, *(f"{SEED}{seed}" for seed in seeds)]), WHO)


def paired(both: Mapping[Unit, tuple[Row, Row]]) -> Iterator[dict]:
    """A line a score that both rows of a pair have, of the units that have it."""
    for name in names_of(row for row, _ in both.values()):
        pair = {unit: (a[name], b[name]) for unit, (a, b) in both.items() if name in a and name in b}
        mine, other = ({unit: each[k] for unit, each in pair.items()} for k in (0, 1))
        if not whole(mine, both) or misfit([*mine.values(), *other.values()], scale(name)):
            continue
        less = {unit: a - b for unit, (a, b) in pair.items()}
        line = {"score": name, **over_concepts(mine, scale(name))}
        line |= prefixed("against", over_concepts(other, scale(name))) | prefixed("difference", over_concepts(less))
        yield line | {f"{SEED}{seed}": value for seed, value in by_seed(less).items()}


def matched(table: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """The part of `pairs` at equal fidelity beside one baseline: columns score, method and `NUMBERS`."""
    part = table.loc[(table["at"] == "fidelity") & (table.baseline == baseline)]
    return part.loc[:, ["score", "method", *NUMBERS]].reset_index(drop=True)
