"""The tables of REPORT.md that set methods side by side, each from a table that the stage wrote."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from dopsd.config.params import Params
from dopsd.objectives import OF_AN_ENTRY, Method
from dopsd.report.along import MATCHED
from dopsd.report.names import HIDDEN, label, score_label, score_name
from dopsd.report.tables import lines, number_text
from dopsd.study import grid as cells_of
from dopsd.support import markdown

SHORT = {  # what a wide table shows, and how it is called there
    "domain_frechet": "Fréchet to the domain",
    "guided_domain_frechet": "the same, guided",
    "domain_nearness": "nearness",
    "concept_fidelity": "concept fidelity",
    "adherence": "adherence",
    "blur_read": "blur, pixels",
    "contrast": "contrast",
    "few_step_blur_read": "few-step gap of blur, pixels",
    "binding": "binding",
    "leakage": "leakage",
    "retention_kid": "KID to untouched",
}
ALONG = tuple(name for name in SHORT if name != "binding")  # those that are measured before the last step, too
COSTS = ("step", "forwards")
KEPT = ("blur_added", "contrast_kept", "gap_growth_blur")  # beside them, where two methods are set side by side
PLACES = {"fidelity": "equal fidelity", "steps": "equal optimiser steps", "forwards": "equal forwards"}
BY_CONCEPT = ("concept_fidelity", "blur_read", "contrast", "retention_kid")
BY_OPENNESS = ("blur_read", "contrast")


def shown(scores: Sequence[str], few: int) -> dict[str, str]:
    """Of a summary's scores those of `SHORT` in few steps, with what they are called; all that no file alone has, where the
    study reads no attribute."""
    found = {name if name in scores else f"{name}@{few}": called for name, called in SHORT.items()}
    if "concept_fidelity" in scores:
        return {name: called for name, called in found.items() if name in scores}
    return {name: score_name(name) for name in dict.fromkeys(scores) if not name.startswith(HIDDEN)}


def along(scores: Iterable[str]) -> dict[str, str]:
    """Of the scores of `pairs.pairs` those that are shown of every pair, likewise."""
    scores = list(dict.fromkeys(scores))
    if "concept_fidelity" in scores:
        return {name: SHORT[name] for name in ALONG if name in scores}
    return {name: score_name(name) for name in scores if not name.startswith((*HIDDEN, *COSTS, MATCHED))}


def summary(table: pd.DataFrame, rows: Sequence[str], few: int, more: Sequence[str] = ()) -> str:
    """Means at the last step, from `tables.summary`: a row a row of the comparison, a column a score. more: scores beside
    those that are shown of every row, where they are measured."""
    wanted = shown(list(table.score), few) | {s: score_name(s) for s in more if s in set(table.score)}
    part = table.loc[table.score.isin(wanted) & table.method.isin(rows)]
    text = {(r.method, r.score): number_text(r.value, r.low, r.high) for r in lines(part)}
    out = [{"": label(row)} | {called: text.get((row, s), "") for s, called in wanted.items()} for row in rows]
    return _markdown(out)


def _markdown(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows as a table of texts, without columns that say nothing."""
    table = pd.DataFrame(rows)
    said = [c for c in table if set(table[c]) != {""}]
    return table.loc[:, said].to_markdown(index=False, disable_numparse=True)


def side_by_side(table: pd.DataFrame, method: str, baseline: str, few: int, many: int) -> str:
    """Two methods at equal fidelity, from `pairs.pairs`: a row a score, with the paired difference; "" where it is not
    measured."""
    part = table.loc[(table["at"] == "fidelity") & (table.method == method) & (table.baseline == baseline)]
    known = {r.score: r for r in lines(part)}
    rows = [
        {
            "score": score_label(name, few, many),
            label(method): number_text(r.value, r.low, r.high),
            label(baseline): number_text(r.against, r.against_low, r.against_high),
            "difference": number_text(r.difference, r.difference_low, r.difference_high, sign=True),
        }
        for name in dict.fromkeys((*COSTS, *along(known), *KEPT))
        if (r := known.get(name)) is not None
    ]
    return _markdown(rows) if rows else ""


def differences(table: pd.DataFrame, baseline: str) -> dict[str, str]:
    """{where: every trained method's paired differences to the baseline, a row a method}, from `pairs.pairs`."""
    out = {}
    for place, where in PLACES.items():
        part = table.loc[(table["at"] == place) & (table.baseline == baseline)]
        rows = []
        for method, mine in part.groupby("method", sort=False):
            known = {r.score: r for r in lines(mine)}
            row = {"": label(str(method))}
            if "step" in known:
                row |= {f"steps ({label(baseline)}'s)": f"{known['step'].value:.1f} ({known['step'].against:.1f})"}
            for name, called in along(part.score).items():
                r = known.get(name)
                number = (r.difference, r.difference_low, r.difference_high) if r is not None else None
                row |= {called: number_text(*number, sign=True) if number else ""}
            rows.append(row)
        if rows:
            out[where] = _markdown(rows)
    return out


def costs(
    params: Params, methods: Mapping[str, Method], rates: Mapping[str, Mapping[str, float | None]]
) -> pd.DataFrame:
    """What each training costs: columns method, steps, forwards_a_step, forwards, learning_rate, given (whether params.yaml
    gives it), and the forwards over the baseline's: forwards_a_step_over, forwards_over."""
    rows = []
    for name, method in methods.items():
        steps, forwards = cells_of.training(params, name).steps, method.needs.forwards
        rate = rates.get(name, {})
        row = {"method": name, "steps": steps, "forwards_a_step": forwards, "forwards": steps * forwards}
        rows.append(row | {"learning_rate": rate.get("value"), "given": bool(rate) and rate.get("low") is None})
    table = pd.DataFrame(rows)
    base = next((row for row in rows if row["method"] == params.compare.baseline), None)
    for name in ("forwards_a_step", "forwards"):
        table[f"{name}_over"] = table[name] / base[name] if base else float("nan")
    return table


def costs_markdown(table: pd.DataFrame, baseline: str) -> str:
    """`costs`: a row a method."""
    over = f"over {label(baseline)}'s"

    def times(x: float) -> str:
        return "" if pd.isna(x) else f" ({x:.2f})"

    rows = [
        {
            "": label(r.method),
            "optimiser steps": str(r.steps),
            f"forwards of a step ({over})": f"{r.forwards_a_step}{times(r.forwards_a_step_over)}",
            f"of a training ({over})": f"{r.forwards}{times(r.forwards_over)}",
            "learning rate": "" if pd.isna(r.learning_rate) else f"{r.learning_rate:g}{' (given)' if r.given else ''}",
        }
        for r in lines(table)
    ]
    return _markdown(rows)


def says(name: str, method: Method, entry: Mapping[str, object], shared: int) -> str:
    """What a method is, in words of its file and of its entry in params.yaml. shared: the steps of those that say none."""
    if name == method.kind:
        return method.objective.SAYS
    changes = [f"{key} {value}" for key, value in entry.items() if key not in OF_AN_ENTRY]
    changes += [f"{key} {value}" for key, value in method.train.items() if key not in ("steps", "checkpoints")]
    steps = method.train.get("steps", shared)
    changes += [f"{steps} steps"] if steps != shared else []
    return f"as {label(str(entry['like']))}, but {markdown.text(', '.join(changes).replace('_', ' ') or 'its name')}"


def one_at_a_time(table: pd.DataFrame, params: Params, methods: Mapping[str, Method], few: int) -> str:
    """What each trained method is, and its scores at the last step, from `tables.summary`."""
    wanted = shown(list(table.score), few)
    text = {(r.method, r.score): number_text(r.value, r.low, r.high) for r in lines(table)}
    rows = []
    for name, method in methods.items():
        what = says(name, method, params.methods[name], params.train.steps)
        rows.append({"": label(name), "what it is": what} | {c: text.get((name, s), "") for s, c in wanted.items()})
    return _markdown(rows)


def openness(table: pd.DataFrame) -> str:
    """From `openness.openness`: a row a row of the comparison, a column a score and how much prompts say."""
    part = table.loc[table.score.isin(BY_OPENNESS)]
    text = {(r.method, r.score, r.said): number_text(r.value, r.low, r.high) for r in lines(part)}
    columns = [(s, said) for s in BY_OPENNESS for said in sorted(part.said.unique())]
    return _markdown(
        [
            {"": label(m)} | {f"{SHORT[s]}, said {said:g}": text.get((m, s, said), "") for s, said in columns}
            for m in dict.fromkeys(part.method)
        ]
    )


def concepts(table: pd.DataFrame) -> dict[str, str]:
    """{score: a row a concept, a column a row of the comparison}, from `tables.concepts`; of scores that are measured."""
    out = {}
    for score in (s for s in BY_CONCEPT if s in table):
        value = {(r.concept, r.method): getattr(r, score) for r in lines(table)}
        rows = [
            {"": f"{concept} ({kind})"}
            | {label(m): _plain(value.get((concept, m))) for m in dict.fromkeys(table.method)}
            for concept, kind in dict(zip(table.concept, table.kind, strict=True)).items()
        ]
        out[SHORT[score]] = _markdown(rows)
    return out


def _plain(value: float | None) -> str:
    return "" if value is None or pd.isna(value) else number_text(value, None, None)
