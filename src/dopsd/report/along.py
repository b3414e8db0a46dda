"""Trainings set side by side: where both draw the concept equally well, after equal steps, after equal compute, at the end.

Between two checkpoints every score is taken to lie on a straight line, and each training starts at the untouched row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import fmean

import numpy as np

from dopsd.report.cells import Key, Steps, at, last
from dopsd.report.units import Unit, against_untouched

Row = dict[str, float]
MATCHED = "matched_fidelity"  # what trainings are matched by
PLACES = {"fidelity": MATCHED, "steps": "step", "forwards": "forwards"}  # and what is equal there
LAST = "last"
TEACHER, DRAWN = "teacher", 0.5  # an attribute that the teacher draws this often is one that can be taught


def crossing(points: Sequence[Row], score: str, level: float) -> Row:
    """Where a training, from its rows in order, first reaches a level of a score: every number that its first and its last
    row have, on the line between the two checkpoints around it that have it (many steps are not drawn at all of them); what
    the last row alone has beside the untouched one is left out. ValueError where it does not."""
    between = points[1:-1] or points[-1:]
    names = [n for n in points[-1] if n in points[0] and any(n in row for row in between)]
    if points[0][score] >= level:
        return {name: points[0][name] for name in names}
    for before, after in pairwise(points):
        if after[score] >= level:
            part = (level - before[score]) / (after[score] - before[score])
            step = (1 - part) * before["step"] + part * after["step"]
            having = {name: [row for row in points if name in row] for name in names}
            drawn = {name: ([r["step"] for r in rows], [r[name] for r in rows]) for name, rows in having.items()}
            return {name: float(np.interp(step, *curve)) for name, curve in drawn.items()}
    raise ValueError(f"no checkpoint reaches a {score} of {level}")


@dataclass(frozen=True)
class Trainings:
    """The cells of a study along training, in few steps.

    cells: `cells.flat`'s, with an untouched one beside each. trained: the methods that are trained. fidelity: the score of
    params.yaml that they are matched by where no attribute is read. forwards: what a step costs each method for a sample.
    """

    cells: Mapping[Key, Steps]
    trained: Sequence[str]
    fidelity: str
    few: int
    forwards: Mapping[str, float]

    @cached_property
    def taught(self) -> dict[str, list[str]]:
        """{concept: the scores of its own attributes that the teacher can draw}: all where it draws none, or where no such
        row is; [] where no attribute is read."""
        out = {}
        for concept in dict.fromkeys(concept for _, concept, _ in self.cells):
            rows = {
                who: [last(s) for (w, c, _), s in self.cells.items() if (w, c) == (who, concept)]
                for who in ("untouched", TEACHER)
            }
            own = [name for name in rows["untouched"][0] if name.startswith("own_")]
            seen = {name: [row[name] for row in rows[TEACHER] if name in row] for name in own}
            out[concept] = [name for name in own if seen[name] and fmean(seen[name]) >= DRAWN] or own
        return out

    @cached_property
    def points(self) -> dict[str, dict[Unit, list[Row]]]:
        """{method: {unit: its rows in order}}, set beside the untouched and the described row; of a trained method the first
        is the untouched row, step 0."""
        out: dict[str, dict[Unit, list[Row]]] = {}
        for (method, concept, seed), steps in self.cells.items():
            start = {0: last(self.cells["untouched", concept, seed])} if method in self.trained else {}
            rows = []
            for step, row in (start | steps).items():
                cost = {"step": float(step), "forwards": float(step * self.forwards[method])} if start else {}
                rows.append(cost | self._beside(at(row, self.few), concept, seed))
            out.setdefault(method, {})[concept, seed] = rows
        return out

    def _beside(self, row: Row, concept: str, seed: int) -> Row:
        untouched = at(last(self.cells["untouched", concept, seed]), self.few)
        described = self.cells.get(("described", concept, seed))
        own = [row[name] for name in self.taught[concept] if name in row]
        matched = {MATCHED: fmean(own) if own else row[self.fidelity]} if own or self.fidelity in row else {}
        beside = against_untouched(row, untouched, at(last(described), self.few) if described else None, self.fidelity)
        return row | beside | matched

    def last(self, method: str) -> dict[Unit, Row]:
        """Every unit's row at a method's last step; {} where it has no cell."""
        return {unit: rows[-1] for unit, rows in self.points.get(method, {}).items()}

    def pair(self, place: str, method: str, other: str) -> dict[Unit, tuple[Row, Row]]:
        """{unit: the two methods' rows} at one of `PLACES` or at the last step, of the units that both have.

        The level is the highest that both of a unit reach along training: a fidelity, a step or a number of forwards.
        """
        mine, others = self.points.get(method, {}), self.points.get(other, {})
        both = {unit: (rows, others[unit]) for unit, rows in mine.items() if unit in others}
        if place == LAST:
            return {unit: (a[-1], b[-1]) for unit, (a, b) in both.items()}
        score, out = PLACES[place], {}
        for unit, (a, b) in both.items():
            level = min(max(row[score] for row in rows) for rows in (a, b))
            out[unit] = crossing(a, score, level), crossing(b, score, level)
        return out


def names_of(rows: Iterable[Row]) -> list[str]:
    """The scores that any of some rows has, in their order."""
    return list(dict.fromkeys(name for row in rows for name in row))
