"""What methods and scores are called in tables and figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from dopsd import objectives
from dopsd.objectives import Method

REFERENCES = {
    "untouched": "Untouched",
    "again": "Untouched, other noise",
    "described": "Untouched, described",
    "teacher": "Teacher",
    "base": "Base, undistilled",
}
SHORT = {"again": "other noise", "base": "base"}  # where there is little room; of the others the label's last part
NOTHING: Mapping[str, Method] = {}
_STUDY: ContextVar[Mapping[str, Method]] = ContextVar("the methods of the study that is reported", default=NOTHING)
HIDDEN = ("quality_", "copying_renders", "sharpness_renders", "own_")  # in comparison.csv, not in the summary

SCORES = {
    "domain_frechet": "new scenes: Fréchet to the domain's renders",
    "guided_domain_frechet": "new scenes, many guided steps: Fréchet to the domain's renders",
    "domain_kid": "new scenes: KID to the domain's renders",
    "guided_domain_kid": "new scenes, many guided steps: KID to the domain's renders",
    "domain_nearness": "new scenes: nearness to the domain (0 = the world, 1 = the domain)",
    "guided_domain_nearness": "new scenes, many guided steps: nearness to the domain",
    "new_gap_nearness": "new scenes: nearness in many guided steps less in few",
    "concept_fidelity": "new scenes: concept fidelity",
    "clip_i": "new scenes: CLIP-I",
    "adherence": "new scenes: adherence",
    "style": "new scenes: style",
    "steepness": "new scenes: steepness of edges (1 = renders)",
    "contrast": "new scenes: contrast (1 = renders)",
    "blur_read": "new scenes: blur that the reader reads, pixels",
    "guided_concept_fidelity": "new scenes, many guided steps: concept fidelity",
    "guided_adherence": "new scenes, many guided steps: adherence",
    "guided_blur_read": "new scenes, many guided steps: blur, pixels",
    "guided_steepness": "new scenes, many guided steps: steepness of edges (1 = renders)",
    "guided_contrast": "new scenes, many guided steps: contrast (1 = renders)",
    "new_gap_blur": "new scenes: blur in few steps less in many guided ones, pixels",
    "new_gap_contrast": "new scenes: contrast in few steps over many guided ones",
    "sharpness": "new scenes: sharpness (1 = renders)",
    "copying": "new scenes: nearest training image",
    "diversity": "new scenes: diversity",
    "nameless_fidelity": 'new scenes, "thing" for the name: fidelity',
    "other_fidelity": "new scenes, another name: fidelity",
    "binding": 'fidelity with the name less with "thing"',
    "retention_frechet": "kept: Fréchet to untouched (0 = kept)",
    "retention_kid": "kept: KID to untouched (untouched = kept)",
    "retention_adherence": "kept: adherence (1 = kept)",
    "retention_blur_read": "kept: blur, over the untouched model's",
    "retention_steepness": "kept: steepness of edges (1 = kept)",
    "retention_contrast": "kept: contrast (1 = kept)",
    "leakage": "leakage (untouched = chance)",
    "leakage_open": "leakage of what was left open",
    "leakage_named": "leakage of what was named otherwise",
    "few_step_blur_read": "few-step gap: blur, pixels more",
    "few_step_steepness": "few-step gap: steepness",
    "few_step_contrast": "few-step gap: contrast",
    "few_step_sharpness": "few-step gap: sharpness",
    "own_shape": "new scenes: own shape",
    "own_colour": "new scenes: own colour",
    "own_texture": "new scenes: own texture",
    "own_outline": "new scenes: own outline",
    "own_style": "new scenes: own style",
    "own_background": "new scenes: own background",
    "own_background_colour": "new scenes: own background colour",
    "step": "optimiser steps",
    "forwards": "forwards of a training, for each sample of a batch",
    "matched_fidelity": "fidelity by what the teacher can draw",
    "fidelity_gain": "gain of fidelity (0 = untouched)",
    "blur_added": "blur, pixels more than described",
    "gap_growth_blur": "gap growth, pixels of blur (0 = untouched)",
    "steepness_kept": "kept steepness (1 = described)",
    "contrast_kept": "kept contrast (1 = described)",
    "gap_growth_steepness": "gap growth, steepness (1 = untouched)",
    "gap_growth_contrast": "gap growth, contrast (1 = untouched)",
}


@contextmanager
def called_as_in(methods: Mapping[str, Method]) -> Iterator[None]:
    """Within it `label` and `kind` know a study's methods, by their names in params.yaml (`grid.methods`)."""
    before = _STUDY.set(methods)
    try:
        yield
    finally:
        _STUDY.reset(before)


def label(method: str) -> str:
    """How a row is called in figures and tables: as the study's params.yaml says, or the method's file."""
    if method in REFERENCES:
        return REFERENCES[method]
    if method in _STUDY.get():
        return _STUDY.get()[method].label
    return objectives.objective(method).LABEL if method in objectives.names() else method


def short(row: str) -> str:
    """How a row is called at the end of a line: references in a word or two, methods by their label."""
    return SHORT.get(row, label(row).rpartition(", ")[2].lower()) if row in REFERENCES else label(row)


def kind(method: str) -> str:
    """The file of a row of the study: its own name, or of the entry of params.yaml that it is like."""
    return _STUDY.get()[method].kind if method in _STUDY.get() else method


def score_name(name: str) -> str:
    """A score's name in words."""
    return name.replace("_", " ")


def score_label(name: str, few: int, many: int) -> str:
    """What a score of `cells.flat` is called; each says where 0 or 1 lies, if it is known."""
    plain, _, nfe = name.partition("@")
    said = SCORES.get(plain, score_name(plain))
    if plain.startswith("few_step_"):
        return f"{said}, {few} over {many} NFE"
    return said.replace("kept:", f"kept, {nfe} NFE:").replace("leakage", f"leakage, {nfe} NFE") if nfe else said


def labels(names: Iterable[str], few: int, many: int) -> dict[str, str]:
    """The scores of a table with what they are called, those that are known first and in their order."""
    shown = [n for n in names if not n.removeprefix("guided_").startswith(HIDDEN)]
    known = list(SCORES)
    order = {n: (known.index(n.partition("@")[0]) if n.partition("@")[0] in known else len(known)) for n in shown}
    return {n: score_label(n, few, many) for n in sorted(shown, key=lambda n: order[n])}
