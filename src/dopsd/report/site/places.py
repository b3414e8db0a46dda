"""Where a score is measured, of which kind of prompts and in how many steps: one name for one number on the whole page."""

from __future__ import annotations

from dopsd.report.names import SCORES, score_label
from dopsd.report.sections import COSTS, SHORT

SCENES, ORDINARY = "new scenes", "ordinary prompts"
ASKED, OF_ASKED = "training pictures in other words", "copy_"  # and what its scores' names begin with
OF_ORDINARY = ("retention_", "leakage", "quality_", "few_step_", "gap_growth_")  # what their scores' names begin with
FEW, MANY, BOTH = "few steps", "many guided steps", "few steps beside many guided ones"
RENDERS = {"contrast": "contrast over renders"}  # that the claims' is over the described row's is said where it stands


def place(score: str) -> str:
    """Of which prompts a score is, in which steps: "new scenes, few steps"."""
    prompts = ORDINARY if score.startswith(OF_ORDINARY) else ASKED if score.startswith(OF_ASKED) else SCENES
    both = score.startswith(("few_step_", "gap_growth_", "new_gap_"))
    return f"{prompts}, {BOTH if both else MANY if score.startswith('guided_') else FEW}"


def heads() -> dict[str, str]:
    """What the wide tables call a score -> the same with its prompts."""
    return {called: f"{_prompts(score)}: {RENDERS.get(called, called)}" for score, called in SHORT.items()}


def rows(few: int, many: int) -> dict[str, str]:
    """What tables of a row a score call it -> the same with its prompts, where it does not say them."""
    out: dict[str, str] = {}
    for score in SCORES:
        called = score_label(score, few, many)
        if score not in COSTS and not called.startswith((SCENES, ORDINARY)):
            out[called] = f"{_prompts(score)}: {called.removeprefix('kept: ')}"
    return out


def _prompts(score: str) -> str:
    return place(score).partition(",")[0]
