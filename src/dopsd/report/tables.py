"""The tables: one tidy row a cell, and the methods' means with their paired differences to SFT."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import pandas as pd

from dopsd.evaluation.statistics import interval, paired_difference
from dopsd.support import paths
from dopsd.support.errors import UserError
from dopsd.support.files import read_json

SCENES = ("concept_fidelity", "clip_i", "adherence", "style", "sharpness", "copying", "diversity")
ORDINARY = ("retention_frechet", "retention_kid", "retention_adherence", "retention_sharpness", "leakage")
COLUMNS = ["method", "concept", "kind", "seed", "step", "nfe", *SCENES, *ORDINARY]
AGAINST = "sft"
LOSS = ("loss", "lr", "grad_norm")


def lines(table: pd.DataFrame) -> Iterable[Any]:
    """A table's rows, as named tuples of its columns, which no type knows."""
    return table.itertuples()


def read_cells(
    methods: Sequence[str], concepts: Sequence[str], seeds: Sequence[int]
) -> dict[tuple[str, str, int], dict]:
    """The scores of every cell of the grid, in the grid's order; UserError where one is missing."""
    out = {}
    for method in methods:
        for concept in concepts:
            file = paths.cells(method, concept)
            scores = read_json(file)
            for seed in seeds:
                if str(seed) not in scores:
                    raise UserError(f"{file}: no scores of seed {seed}; run `dvc repro`")
                out[method, concept, seed] = scores[str(seed)]
    return out


def comparison(cells: dict[tuple[str, str, int], dict], kinds: dict[str, str]) -> pd.DataFrame:
    """One row a method x concept x seed x step x NFE with `COLUMNS`.

    New scenes are drawn at one NFE and scored in its row; the other NFE have ordinary prompts only, at the last step.
    kinds: concept -> "object" or "style".
    """
    rows = []
    for (method, concept, seed), cell in cells.items():
        for step, scores in cell["steps"].items():
            for nfe in sorted(scores["ordinary"], key=int):
                scenes, ordinary = scores["scenes"].get(nfe), scores["ordinary"][nfe]
                who = {"method": method, "concept": concept, "kind": kinds[concept], "seed": seed}
                row = who | {"step": int(step), "nfe": int(nfe)}
                row |= {k: scenes[k]["value"] if scenes else None for k in SCENES}
                rows.append(row | {k: ordinary[k]["value"] for k in ORDINARY})
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.astype(dict.fromkeys((*SCENES, *ORDINARY), float))


def trajectory(table: pd.DataFrame) -> pd.DataFrame:
    """`comparison` as one row a method and step: means over the cells, at the NFE that new scenes are drawn at."""
    few = table.dropna(subset=["concept_fidelity"])
    means = few.groupby(["method", "step"], sort=False)[[*SCENES, *ORDINARY]].mean()
    return cast(pd.DataFrame, means).reset_index()  # pandas declares it to be a scalar, too


def at_last_step(cell: dict) -> dict[str, float]:
    """A finished training's scores in one flat row: "name" for new scenes, "name@nfe" for ordinary prompts."""
    scores = cell["steps"][max(cell["steps"], key=int)]
    flat = {k: scene[k]["value"] for scene in scores["scenes"].values() for k in SCENES}
    for nfe in sorted(scores["ordinary"], key=int):
        flat |= {f"{k}@{nfe}": v["value"] for k, v in scores["ordinary"][nfe].items()}
    return flat | {f"few_step_{k}": v["value"] for k, v in scores["few_step_gap"].items()}


def summary(cells: dict[tuple[str, str, int], dict]) -> pd.DataFrame:
    """Means of the methods and paired differences to SFT, each with a 95 % interval over the concept x seed cells.

    Columns: score, method, value, low, high, n, difference, difference_low, difference_high. A cell is the unit: its
    pictures share one training. Scores that not every cell has (the full range of NFE) are left out.
    """
    flat: dict[str, dict[tuple, dict]] = {}
    for (method, concept, seed), cell in cells.items():
        flat.setdefault(method, {})[concept, seed] = at_last_step(cell)
    common = set.intersection(*(set(row) for rows in flat.values() for row in rows.values()))
    names = [name for name in next(iter(next(iter(flat.values())).values())) if name in common]
    out = []
    for name in names:
        for method, rows in flat.items():
            values = [row[name] for row in rows.values()]
            line = {"score": name, "method": method, **interval(values)}
            if method != AGAINST and AGAINST in flat:
                other = [flat[AGAINST][unit][name] for unit in rows]
                line |= _prefixed("difference", paired_difference(values, other))
            out.append(line)
    return _numbers(pd.DataFrame(out))


def _numbers(table: pd.DataFrame) -> pd.DataFrame:
    """The same with an interval that is not there as NaN, in columns of floats."""
    return table.astype({c: float for c in table.columns if c not in ("score", "method", "n")})


def at_step(cell: dict, step: str) -> dict[str, float]:
    """The scores of one checkpoint in few steps, in one flat row."""
    scores = cell["steps"][step]
    ((few, scene),) = scores["scenes"].items()
    ordinary = scores["ordinary"][few]
    row = {k: scene[k]["value"] for k in SCENES} | {k: ordinary[k]["value"] for k in ORDINARY}
    return row | {f"few_step_{k}": v["value"] for k, v in scores["few_step_gap"].items()}


def first_reaching(rows: list[dict[str, float]], level: float) -> dict[str, float]:
    """The first checkpoint's row whose concept fidelity reaches a level; ValueError where none does."""
    for row in rows:
        if row["concept_fidelity"] >= level:
            return row
    raise ValueError(f"no checkpoint reaches a concept fidelity of {level}")


def against_untouched(
    row: dict[str, float], untouched: dict[str, float], described: dict[str, float] | None
) -> dict[str, float]:
    """The scores that set a checkpoint's row beside the untouched model's, on the same prompts and noise.

    fidelity_gain: concept fidelity less the untouched model's. sharpness_kept: over the described row's, where there is
    one. gap_growth_*: the few-step gap over the untouched model's; above 1 few steps have lost more than many (the
    sharpness gap falls then, so it is inverted).
    """
    kept = {"sharpness_kept": row["sharpness"] / described["sharpness"]} if described else {}
    return kept | {
        "fidelity_gain": row["concept_fidelity"] - untouched["concept_fidelity"],
        "gap_growth_frechet": row["few_step_frechet"] / untouched["few_step_frechet"],
        "gap_growth_sharpness": untouched["few_step_sharpness"] / row["few_step_sharpness"],
    }


MATCHED_COLUMNS = ("value", "low", "high", "n") + tuple(
    f"{of}{end}" for of in ("against", "difference") for end in ("", "_low", "_high")
)
MATCHED = ("step", *SCENES, *ORDINARY, "fidelity_gain", "sharpness_kept", "gap_growth_frechet", "gap_growth_sharpness")


def matched(cells: dict[tuple[str, str, int], dict], trained: Sequence[str]) -> pd.DataFrame:
    """Every trained method beside SFT at matched concept fidelity along training, in few steps.

    The level of a concept and seed is the highest fidelity that both of a pair reach; each is scored at its first
    checkpoint at or above it. Columns: score, method, value, low, high (of the method), against, against_low,
    against_high (of SFT), difference, difference_low, difference_high, n; 95 % intervals over the concept x seed cells.
    """
    units = list(dict.fromkeys((concept, seed) for _, concept, seed in cells))
    rows = {key: [at_step(c, s) | {"step": float(s)} for s in sorted(c["steps"], key=int)] for key, c in cells.items()}
    out = []
    for method in (m for m in trained if m != AGAINST and AGAINST in trained):
        pairs = []
        for unit in units:
            pair = rows[method, *unit], rows[AGAINST, *unit]
            level = min(max(row["concept_fidelity"] for row in training) for training in pair)
            reached = [first_reaching(training, level) for training in pair]
            (untouched,), (described,) = rows["untouched", *unit], rows.get(("described", *unit), [None])
            pairs.append([row | against_untouched(row, untouched, described) for row in reached])
        for score in (s for s in MATCHED if s in pairs[0][0]):
            mine, other = ([pair[k][score] for pair in pairs] for k in (0, 1))
            line = {"score": score, "method": method, **interval(mine)}
            line |= _prefixed("against", interval(other)) | _prefixed("difference", paired_difference(mine, other))
            out.append(line)
    return _numbers(pd.DataFrame(out, columns=["score", "method", *MATCHED_COLUMNS]))


def _prefixed(name: str, number: dict) -> dict:
    """A number's value and interval under other names; its n is the line's own."""
    return {name: number["value"], f"{name}_low": number["low"], f"{name}_high": number["high"]}


def matched_markdown(table: pd.DataFrame, names: dict[str, str]) -> str:
    """`matched` as Markdown: a row a score. names: score -> what it is called."""
    rows = [
        {
            "score": names[r.score],
            "method": r.method,
            "at its checkpoint": number_text(r.value, r.low, r.high),
            AGAINST: number_text(r.against, r.against_low, r.against_high),
            "difference": number_text(r.difference, r.difference_low, r.difference_high, sign=True),
        }
        for r in lines(table.loc[table.score.isin(names)])
    ]
    if not rows:
        return f"Not measured: it needs {AGAINST} and another trained method.\n"
    return pd.DataFrame(rows).to_markdown(index=False) + "\n"


def number_text(value: float, low: float, high: float, sign: bool = False) -> str:
    """A number with its interval, if it has one: three decimals, one where it is 10 or more; a difference with its sign."""
    if pd.isna(low):  # one unit has no interval
        return f"{value:{'+' if sign else ''}.{3 if abs(value) < 10 else 1}f}"
    digits = 3 if max(abs(value), abs(low), abs(high)) < 10 else 1
    form = f"{'+' if sign else ''}.{digits}f"
    value, low, high = (round(x, digits) + 0.0 for x in (value, low, high))  # + 0.0: no negative zeros
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


def summary_markdown(table: pd.DataFrame, labels: dict[str, str]) -> str:
    """`summary` as two Markdown tables: means, then differences to SFT. labels: score -> what it is called."""
    table = table[table.score.isin(labels)].assign(score=lambda t: t.score.map(labels))
    order, methods = [x for x in labels.values() if x in set(table.score)], list(dict.fromkeys(table.method))
    mean = table.assign(text=[number_text(r.value, r.low, r.high) for r in lines(table)])
    parts = [mean.pivot(index="score", columns="method", values="text").loc[order, methods].to_markdown()]
    if "difference" in table:
        other = table.dropna(subset=["difference"])
        text = [number_text(r.difference, r.difference_low, r.difference_high, sign=True) for r in lines(other)]
        wide = other.assign(text=text).pivot(index="score", columns="method", values="text")
        parts.append(wide.loc[order, [m for m in methods if m != AGAINST]].to_markdown())
    return "\n\n".join(parts) + "\n"


def losses(trained: Sequence[str], concepts: Sequence[str], seeds: Sequence[int]) -> pd.DataFrame:
    """Every training's loss curve: columns method, concept, seed, step and `LOSS`."""
    out = []
    for method in trained:
        for concept in concepts:
            for seed in seeds:
                file = paths.adapters(method, concept, seed) / "loss.csv"
                if not file.exists():
                    raise UserError(f"{file}: missing; run `dvc repro`")
                out.append(pd.read_csv(file).assign(method=method, concept=concept, seed=seed))
    table = pd.concat(out, ignore_index=True)
    return table.loc[:, ["method", "concept", "seed", "step", *LOSS]]
