"""What the tables and figures say of each cell, from the long table of scores: a flat row of numbers a checkpoint.

A name tells where a number comes from:

    concept_fidelity        a score of new pictures, in few steps
    leakage@4               a score of ordinary prompts at so many NFE
    retention_adherence@4   a score of ordinary prompts over the untouched model's, on equal prompts and noise
    few_step_contrast       a score of ordinary prompts in few steps over the same in many (of blur, in pixels: less)
    nameless_fidelity       concept_fidelity with "thing" in the name's place, other_fidelity with another name; binding is
                            the fidelity less the former; seen_fidelity having seen a training picture (of chains)
    guided_blur_read        a score of the same new pictures in many guided steps; new_gap_blur and new_gap_contrast: few
                            steps less many in pixels, and over many; new_gap_nearness: many less few
    own_shape               whether an attribute of the concept itself is drawn, of new pictures

All of it at the study's main openness; `at_said` gives the table of another.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from dopsd.config.chains import SEEN
from dopsd.evaluation.rows import NAMELESS, NEW, ORDINARY, OTHER, REWRITE
from dopsd.support.files import rounded

Key = tuple[str, str, int]  # method, concept, seed
Steps = dict[int, dict[str, float]]
OVER = {"sharpness": "sharpness_renders"}  # scores that are told over another of the same pictures
ABSOLUTE = ("leakage", "leakage_open", "leakage_named")  # ordinary prompts: as it is, not over the untouched model's
FIDELITY = "concept_fidelity"
GAPS = ("steepness", "contrast", "sharpness")  # few steps over many
BLUR = "blur_read"  # in pixels: few steps less many
NEARNESS = "domain_nearness"
GUIDED = "guided_"
OF_SETS = ("retention_frechet", "retention_kid", "quality_frechet")


def at_said(table: pd.DataFrame, said: float) -> pd.DataFrame:
    """The long table of another openness in the place of the main one's: what was drawn from the prompts that say so much of
    the same scenes, from the same noise. Trained cells are in it at their last step only, and no cell with what it was not
    asked at this openness."""
    return table.loc[table.said == said].assign(said=float("nan"))


def means(table: pd.DataFrame) -> pd.Series:
    """Each cell's mean of each score over its pictures, or its value of a set, at the main openness; index: method, concept,
    seed, step, kind, nfe, score. Rows of a set with a block left out count for intervals only, and a score that is nowhere a
    number is left out."""
    whole = table.loc[~((table.prompt == "") & (table.group != "")) & table.said.isna() & table.value.notna()]
    by = ["method", "concept", "seed", "step", "kind", "nfe", "score"]
    return whole.groupby(by, sort=False, observed=True).value.mean()


def _ratios(scores: Mapping[str, float]) -> dict[str, float]:
    """Scores, those of `OVER` as ratios."""
    out = {name: value for name, value in scores.items() if name not in OVER.values()}
    return out | {n: out[n] / scores[by] for n, by in OVER.items() if n in out and scores.get(by)}


def _ordinary(mine: Mapping[str, float], untouched: Mapping[str, float]) -> dict[str, float]:
    """The scores of ordinary prompts at one NFE: what is kept, and plain quality."""
    out = {name: mine[name] for name in (*OF_SETS, *ABSOLUTE) if name in mine}
    each = {name: value for name, value in mine.items() if name not in out and name not in OVER.values()}
    out |= {f"retention_{name}": value / untouched[name] for name, value in each.items() if untouched[name]}
    return out | {f"quality_{name}": v for name, v in _ratios(mine).items() if name in each}


def _gap(few: Mapping[str, float], many: Mapping[str, float]) -> dict[str, float]:
    """Few steps over many, of one model on one set of prompts and noise: forgetting moves both alike, collapse the few."""
    out = {f"few_step_{n}": few[n] / many[n] for n in GAPS if n in few and many.get(n)}
    return out | ({f"few_step_{BLUR}": few[BLUR] - many[BLUR]} if BLUR in few and BLUR in many else {})


def _new_gap(row: Mapping[str, float]) -> dict[str, float]:
    """Few steps against many guided ones of one model, on one set of new scenes and noise."""
    many = {name: row[f"{GUIDED}{name}"] for name in (BLUR, "contrast") if name in row and f"{GUIDED}{name}" in row}
    out = {"new_gap_blur": row[BLUR] - many[BLUR]} if BLUR in many else {}
    if NEARNESS in row and f"{GUIDED}{NEARNESS}" in row:
        out["new_gap_nearness"] = row[f"{GUIDED}{NEARNESS}"] - row[NEARNESS]
    return out | ({"new_gap_contrast": row["contrast"] / many["contrast"]} if many.get("contrast") else {})


def flat(table: pd.DataFrame, few: int, many: int) -> dict[Key, Steps]:
    """{cell: {step: {name: number}}}, in the table's order; numbers rounded, as they are kept everywhere."""
    scores: dict[tuple, dict[str, float]] = {}
    for (method, concept, seed, step, kind, nfe, score), value in means(table).items():  # pyright: ignore
        scores.setdefault((method, concept, int(seed), int(step), kind, int(nfe)), {})[score] = float(value)
    out: dict[Key, Steps] = {}
    for method, concept, seed, step, kind, nfe in scores:
        mine = scores[method, concept, seed, step, kind, nfe]
        row = out.setdefault((method, concept, seed), {}).setdefault(step, {})
        if kind == ORDINARY:
            before = scores["untouched", concept, seed, 0, ORDINARY, nfe]
            row |= {f"{name}@{nfe}": v for name, v in _ordinary(mine, before).items()}
            if nfe == few and (late := scores.get((method, concept, seed, step, kind, many))) and many > few:
                row |= _gap(mine, late)
        elif kind == NEW:
            row |= {name if nfe == few else f"{GUIDED}{name}": v for name, v in _ratios(mine).items()}
        elif kind in (NAMELESS, OTHER, SEEN) and FIDELITY in mine:
            row[f"{kind}_fidelity"] = mine[FIDELITY]
        elif kind == REWRITE:
            row |= {name if name not in row else f"{name} (rewritten)": v for name, v in mine.items()}
    for row in (row for steps in out.values() for row in steps.values()):
        row |= _new_gap(row)
        if f"{NAMELESS}_fidelity" in row:
            row["binding"] = row[FIDELITY] - row[f"{NAMELESS}_fidelity"]
    return {key: {step: rounded(row) for step, row in sorted(steps.items())} for key, steps in out.items()}


def at(row: Mapping[str, float], nfe: int) -> dict[str, float]:
    """A row with the scores of ordinary prompts at one NFE under their plain names, those of others left out."""
    end = f"@{nfe}"
    return {name.removesuffix(end): v for name, v in row.items() if "@" not in name or name.endswith(end)}


def last(steps: Steps) -> dict[str, float]:
    """A finished training's row."""
    return steps[max(steps)]
