"""What remains after each training of a chain: rows of numbers, the table, the figure, and the page.

A name tells of which concept a number is, as `first_fidelity` or `newest_contrast_kept`: of the first, the second, ... that
a chain was taught, of the newest so far, or of all taught so far, their mean (taught_). Those of ordinary prompts have their
own names. _change: since the first training; of a row without training: since the untouched model. A set's two orders are
averaged: the set is the unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from statistics import fmean

import pandas as pd
from matplotlib.figure import Figure

from dopsd.report import reported
from dopsd.report.along import Row, Trainings
from dopsd.report.cells import Key, Steps, flat
from dopsd.report.charts import line_panel
from dopsd.report.claimed import Records, bar, measured
from dopsd.report.figures import means
from dopsd.report.layout import dressed, panels
from dopsd.report.names import label
from dopsd.report.scales import misfit, scale
from dopsd.report.tables import lines, number_text
from dopsd.report.units import over_concepts
from dopsd.support import paths
from dopsd.support.errors import UserError

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
OF_CONCEPT = {  # a score of `cells.flat`, or beside the untouched row, and what it is called of a concept
    "concept_fidelity": "fidelity",
    "nameless_fidelity": "nameless_fidelity",
    "other_fidelity": "other_fidelity",
    "seen_fidelity": "seen_fidelity",
    "clip_i": "clip_i",
    "adherence": "adherence",
    "contrast": "contrast",
    "contrast_kept": "contrast_kept",
    "blur_added": "blur_added",
    "leakage": "leakage",
    "new_gap_blur": "gap_blur",
    "new_gap_contrast": "gap_contrast",
}
OF_ORDINARY = ("retention_kid", "retention_contrast", "retention_adherence", "gap_growth_blur", "gap_growth_contrast")
CHANGING = ("first_", "newest_", "retention_")
SHOWN = {
    "first_fidelity": "the first concept: fidelity",
    "second_fidelity": "the second concept: fidelity",
    "third_fidelity": "the third concept: fidelity",
    "newest_fidelity": "the newest concept: fidelity",
    "taught_contrast_kept": "few steps: contrast of those taught,\nover described",
    "newest_contrast_kept": "few steps: contrast of the newest,\nover described",
    "taught_blur_added": "few steps: blur of those taught,\npixels more than described",
    "taught_adherence": "those taught: adherence\nto the rest of the prompt",
    "retention_contrast": "ordinary prompts: contrast\nover untouched",
    "retention_kid": "ordinary prompts: KID\nto untouched (lower = kept)",
    "newest_other_fidelity": "the newest by a name that nothing\nwas taught of: fidelity",
    "newest_nameless_fidelity": 'the newest with "thing"\nfor its name: fidelity',
}
MORE = {  # in the table, beside these
    "third_seen_fidelity": "the third concept, drawn having seen its picture: fidelity",
    "first_fidelity_change": "the first concept: fidelity since its training",
    "first_contrast_kept_change": "the first concept: contrast over described, since its training",
    "newest_contrast_kept_change": "a concept's contrast over described, taught later less taught first",
    "taught_gap_blur": "those taught: blur in few steps less in many guided ones, pixels",
    "taught_gap_contrast": "those taught: contrast in few steps over many guided ones",
    "gap_growth_blur": "ordinary prompts: few-step gap over the untouched model's, pixels of blur",
    "gap_growth_contrast": "ordinary prompts: few-step gap over the untouched model's, contrast",
}
FIRST, UNTRAINED = 1, 0  # steps: of the first training, and of rows without one
Orders = Mapping[str, Sequence[str]]  # every chain with its concepts in order


def placed(table: pd.DataFrame, orders: Orders) -> pd.DataFrame:
    """The long table with "chain/concept" in the concept's place, rows without training once for every chain."""
    plain, parts = table.loc[table.chain == ""], [table.loc[table.chain != ""]]
    parts += [plain.loc[plain.concept.isin(order)].assign(chain=name) for name, order in orders.items()]
    out = pd.concat(parts, ignore_index=True)
    return out.assign(concept=out.chain + "/" + out.concept)


def _row(concepts: Sequence[Row], k: int) -> Row:
    """What a chain shows after its k-th training, from the rows of its concepts in order."""
    out: Row = {}
    of = {word: [row] for word, row in zip(ORDINALS, concepts, strict=False)}
    for word, rows in (of | {"newest": [concepts[k - 1]], "taught": concepts[:k]}).items():
        have = {s: n for s, n in OF_CONCEPT.items() if all(s in row for row in rows)}
        out |= {f"{word}_{name}": fmean(row[score] for row in rows) for score, name in have.items()}
    have = [s for s in OF_ORDINARY if all(s in row for row in concepts)]
    return out | {s: fmean(row[s] for row in concepts) for s in have}


def _changes(row: Row, start: Row) -> Row:
    return {f"{n}_change": v - start[n] for n, v in row.items() if n in start and n.startswith(CHANGING)}


def chains(beside: Trainings, orders: Orders) -> dict[Key, Steps]:
    """{(method, chain, seed): {k: its numbers after the k-th training}}; of a row without training k is 0. beside: the cells
    of `placed`. UserError where a chain lacks a concept."""
    out: dict[Key, Steps] = {}
    for method, units in beside.points.items():
        for (name, order), seed in product(orders.items(), dict.fromkeys(seed for _, _, seed in beside.cells)):
            places = [(f"{name}/{concept}", seed) for concept in order]
            if lost := [place for place in places if place not in units]:
                raise UserError(f"{paths.TABLE}: no scores of {method}/{lost[0][0]}/{seed}; run `dvc repro`")
            if method in beside.trained:  # whose first row is the untouched one's
                ks = range(FIRST, len(units[places[0]]))
                steps = {k: _row([units[place][k] for place in places], k) for k in ks}
                start, changed = steps[FIRST], ks[1:]
            else:
                steps = {UNTRAINED: _row([units[place][0] for place in places], len(order))}
                start, changed = _row([beside.points["untouched"][place][0] for place in places], len(order)), steps
            out[method, name, seed] = {
                k: row | (_changes(row, start) if k in changed else {}) for k, row in steps.items()
            }
    return out


def sets(found: Mapping[Key, Steps], orders: Orders) -> dict[Key, Steps]:
    """`chains` with the orders of a set averaged: (method, set, seed)."""
    of = {name: min(other for other in orders if set(orders[other]) == set(order)) for name, order in orders.items()}
    many: dict[Key, list[Steps]] = {}
    for (method, name, seed), steps in found.items():
        many.setdefault((method, of[name], seed), []).append(steps)
    return {
        key: {k: {n: fmean(s[k][n] for s in each) for n in each[0][k] if all(n in s[k] for s in each)} for k in each[0]}
        for key, each in many.items()
    }


def measured_of(
    table: pd.DataFrame, orders: Orders, trained: Sequence[str], few: int, many: int
) -> tuple[Trainings, pd.DataFrame]:
    """The long table -> (the sets along their trainings, a row a chain, seed and training)."""
    forwards = dict.fromkeys(trained, 0.0)  # nothing is compared after equal forwards
    beside = Trainings(flat(placed(table, orders), few, many), trained, "concept_fidelity", few, forwards)
    found = chains(beside, orders)
    each = [
        {"method": m, "chain": name, "seed": seed, "training": k} | row
        for (m, name, seed), steps in found.items()
        for k, row in steps.items()
    ]
    return Trainings(sets(found, orders), trained, "taught_fidelity", few, forwards), pd.DataFrame(each)


def table(of_sets: Trainings) -> pd.DataFrame:
    """Means over the sets with their intervals: columns score, method, training (0 of a row without), value, low, high, n;
    left out where a mean has no place on the score's scale."""
    values: dict[tuple[str, str, int], dict[tuple[str, int], float]] = {}
    for (method, name, seed), steps in of_sets.cells.items():
        for k, row in steps.items():
            for score, value in row.items():
                values.setdefault((score, method, k), {})[name, seed] = value
    rows = [
        {"score": score, "method": method, "training": k} | over_concepts(mine, scale(score))
        for (score, method, k), mine in values.items()
        if not misfit(mine.values(), scale(score))
    ]
    return pd.DataFrame(rows).astype(dict.fromkeys(("value", "low", "high"), float))


def after(k: int) -> str:
    """What a column of the table is called."""
    return f"after the {ORDINALS[k - 1]}"


def plain(references: Sequence[str]) -> list[str]:
    """The rows without training that stand beside the trained ones."""
    return [row for row in ("untouched", "described", "teacher") if row in references]


def markdown(found: pd.DataFrame, method: str, rows: Sequence[str]) -> str:
    """A method's table: a row a score, a column a training, between the rows without training that are named."""
    out = []
    text = {(r.score, r.method, r.training): number_text(r.value, r.low, r.high) for r in lines(found)}
    trainings = sorted(set(found.loc[found.method == method].training))
    for score, called in (SHOWN | MORE).items():
        line = {"": called.replace("\n", " ")}
        line |= {label(row): text.get((score, row, UNTRAINED), "") for row in rows}
        line |= {after(k): text.get((score, method, k), "") for k in trainings}
        if any(line[after(k)] for k in trainings):
            out.append(line)
    return pd.DataFrame(out).to_markdown(index=False, disable_numparse=True)


def beside_the_paper(found: pd.DataFrame, methods: Sequence[str]) -> str:
    """What the paper reports of one training, beside the same question here after the first and after the last one, of those
    taught so far; "" where the study has none of its rows."""
    said, out = reported.load("lora"), []
    text = {(r.score, r.method, r.training): number_text(r.value, r.low, r.high) for r in lines(found)}
    last = int(found.training.max())
    for row in (r for r in said.rows if r in methods):
        at = (UNTRAINED,) if (f"taught_{OF_CONCEPT['contrast']}", row, UNTRAINED) in text else (FIRST, last)
        for k in at:
            one = {"": label(row), "trainings": str(k)}
            for score, column in said.columns.items():
                arrow = "^" if column.better == "higher" else "v"
                one[f"{score} {arrow} (reported)"] = f"{said.rows[row][score]:g}" if k in (UNTRAINED, FIRST) else ""
                one[column.called] = text.get((f"taught_{OF_CONCEPT[column.here]}", row, k), "")
            out.append(one)
    return pd.DataFrame(out).to_markdown(index=False, disable_numparse=True) if out else ""


def figure(of_sets: Trainings, rows: Sequence[str]) -> Figure | None:
    """Scores after each training: a line a method, its interval over the sets as a band; rows without training are dotted
    lines. None where the study measures none of them."""
    each = [
        {"method": m, "concept": name, "seed": seed, "training": k} | row
        for (m, name, seed), steps in of_sets.cells.items()
        for k, row in steps.items()
    ]
    points = dict(list(pd.DataFrame(each).groupby("method", sort=False)))
    trained = [m for m in of_sets.trained if m in points]
    shown = {s: t for s, t in SHOWN.items() if any(s in points[m] and points[m][s].notna().any() for m in trained)}
    if not shown:
        return None
    figure, every = panels(len(shown), 3, 2.5)
    ks = sorted(set(points[trained[0]].training))
    for axes, (score, title) in zip(every, shown.items(), strict=True):
        found = {row: means(points[row], "training", score) for row in rows}
        levels = {row: level.value.iloc[0] for row, level in found.items() if len(level)}
        each = {m: means(points[m], "training", score) for m in trained if score in points[m]}
        line_panel(axes, each, "training", levels, (2.7, 1.7))
        axes.set_xticks(ks, [ORDINALS[k - 1] for k in ks])
        dressed(axes, title, "after the")
    return figure


def sentences(records: Records) -> list[str]:
    """A sentence a claim that holds; of the others: `claimed.negatives`."""
    found = [r for r in records if r["verdict"] == "holds"]
    return [f"**holds**: {r['claim']}: {measured(r)}, the bar is {bar(r)}." for r in found]
