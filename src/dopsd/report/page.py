"""REPORT.md: a template filled from the files of scores. No number is written by hand."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pandas as pd

from dopsd.config.params import Params
from dopsd.report import claims
from dopsd.report.figures import CONTEXTS, label
from dopsd.report.miniature import attribute_table, bars_table, spelled
from dopsd.report.tables import AGAINST, matched_markdown, number_text, summary_markdown
from dopsd.support.files import numbers_table

TEMPLATE = Path(__file__).with_name("report.md.j2")
CARD = Path(__file__).with_name("miniature.md.j2")


MATCHED_LABELS = {
    "fidelity_gain": "gain of concept fidelity (0 = untouched)",
    "sharpness_kept": "kept sharpness (1 = described)",
    "gap_growth_frechet": "gap growth, Fréchet (1 = untouched)",
    "gap_growth_sharpness": "gap growth, sharpness (1 = untouched)",
}


def labels(few: int, many: int) -> dict[str, str]:
    """The scores of the summary, in order, with what they are called; each says where 0 or 1 lies."""
    return {
        "concept_fidelity": "new scenes: concept fidelity",
        "clip_i": "new scenes: CLIP-I",
        "adherence": "new scenes: adherence",
        "style": "new scenes: style",
        "sharpness": "new scenes: sharpness (1 = renders)",
        "copying": "new scenes: nearest training image",
        "diversity": "new scenes: diversity",
        f"retention_frechet@{few}": f"kept, {few} NFE: Fréchet to untouched (0 = kept)",
        f"retention_frechet@{many}": f"kept, {many} NFE: Fréchet to untouched (0 = kept)",
        f"retention_kid@{few}": f"kept, {few} NFE: KID to untouched (untouched = kept)",
        f"retention_adherence@{few}": f"kept, {few} NFE: adherence (1 = kept)",
        f"retention_adherence@{many}": f"kept, {many} NFE: adherence (1 = kept)",
        f"retention_sharpness@{few}": f"kept, {few} NFE: sharpness (1 = kept)",
        f"retention_sharpness@{many}": f"kept, {many} NFE: sharpness (1 = kept)",
        f"leakage@{few}": f"leakage, {few} NFE (untouched = chance)",
        "few_step_frechet": f"few-step gap: Fréchet, {few} over {many} NFE",
        "few_step_sharpness": f"few-step gap: sharpness, {few} over {many} NFE",
    }


def matched_labels(few: int, many: int) -> dict[str, str]:
    """The scores of the matched table, in its order, as the summary calls them."""
    shared = {k.removesuffix(f"@{few}"): v for k, v in labels(few, many).items()}
    return {"step": "optimiser steps"} | shared | MATCHED_LABELS


def verdict(table: pd.DataFrame, score: str, method: str, what: str, higher_is: str, lower_is: str) -> str:
    """One sentence on a method's paired difference to SFT, which says so where the interval holds 0."""
    row = table.loc[(table.score == score) & (table.method == method)]
    if row.empty or "difference" not in row or row.difference.isna().all():
        return f"{label(method)}: no difference of {what} to {label(AGAINST)} was measured."
    d, low, high = (float(row[c].iloc[0]) for c in ("difference", "difference_low", "difference_high"))
    span = number_text(d, low, high, sign=True)
    if pd.isna(low):
        return f"{label(method)} against {label(AGAINST)}, {what}: {span}, one cell, so without an interval."
    told = "no difference is shown (the interval holds 0)" if low <= 0 <= high else higher_is if d > 0 else lower_is
    return f"{label(method)} against {label(AGAINST)}, {what}: {span}, {told}."


def probe_table(scores: dict, naming: dict) -> str:
    """The probe's scores with one VLM in so many steps: a row an attribute, a column a context, and beside them what is
    named of the picture and the share of it that is drawn (the paper's in-context ability, against the eye's own)."""
    rows = {
        CONTEXTS[context].replace("\n", " "): {a: spelled(v) for a, v in row.items()} for context, row in scores.items()
    }
    rows["named"] = {a: spelled(v) for a, v in naming.items()}
    drawn = scores["image_text"]
    rows["drawn / named"] = {  # an eye that never names an attribute rightly gives nothing to divide by
        a: f"{drawn[a]['value'] / v['value']:.2f}" if v["value"] else "-" for a, v in naming.items()
    }
    return pd.DataFrame(rows).fillna("").to_markdown(disable_numparse=True)


def above_controls(scores: dict) -> list[str]:
    """The attributes where [target image + text] lies above text only and [another image + text], intervals apart."""
    seen, controls = scores["image_text"], (scores["text"], scores["wrong_image_text"])
    return [a for a in seen if a != "mean" and all(seen[a]["low"] > c[a]["high"] for c in controls)]


def probes(scores: dict, naming: dict) -> list[dict]:
    """The probe of every VLM and number of steps, for the template: {vlm, nfe, table, above}."""
    return [
        {"vlm": vlm, "nfe": nfe, "table": probe_table(at, naming[vlm]), "above": above_controls(at)}
        for vlm, by_nfe in scores.items()
        for nfe, at in by_nfe.items()
    ]


def _filled(template: Path, **values) -> str:
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(template.read_text(encoding="utf-8")).render(**values)


def miniature_card(miniature: dict, probe: dict) -> str:
    """MINIATURE.md, filled from the scores of the stages `miniature` and `probe`."""
    return _filled(
        CARD,
        bars=bars_table(miniature),
        attributes=attribute_table(miniature, probe),
        numbers=numbers_table(miniature),
    )


def report(
    table: pd.DataFrame,
    matched: pd.DataFrame,
    probe: dict,
    miniature: dict,
    step_size: dict,
    params: Params,
    devices: list[str],
) -> str:
    """Fill the template. table: the summary; matched: SFT and the others at matched fidelity; probe, miniature,
    step_size: the files of scores of these names; devices: what the cells ran on."""
    few, many = params.evaluate.few, params.evaluate.many
    mine = "dopsd"
    sentences = [
        verdict(table, "concept_fidelity", mine, "concept fidelity on new scenes", "higher", "lower"),
        verdict(table, "sharpness", mine, "sharpness on new scenes", "sharper", "more blurred"),
        verdict(
            table,
            f"retention_frechet@{few}",
            mine,
            f"distance to the untouched model at {few} NFE",
            "farther",
            "nearer",
        ),
        verdict(table, "few_step_frechet", mine, "few-step gap (Fréchet)", "a wider gap", "a narrower gap"),
        verdict(table, f"leakage@{few}", mine, "leakage", "leaks more", "leaks less"),
    ]
    return _filled(
        TEMPLATE,
        sentences=sentences,
        summary=summary_markdown(table, labels(few, many)),
        matched=matched_markdown(matched, matched_labels(few, many)),
        probes=probes(probe, miniature["naming"]),
        answers=claims.answers_markdown(claims.answers(matched)),
        step_size=numbers_table(step_size),
        grid=params.grid,
        few=few,
        many=many,
        cells=len(params.grid.concepts) * len(params.grid.seeds),
        label=label,
        devices=devices,
    )
