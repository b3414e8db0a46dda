"""A study of rows that are trained on the first so many pictures of a concept.

All else is `Study`'s: whatever a row is trained on, its prompts and its scores are those of the concept's whole set.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dopsd.config import pictures
from dopsd.config.params import Params
from dopsd.sets.jsonl import read_set
from dopsd.sets.write import write_set
from dopsd.study import code, grid, keys
from dopsd.study.pipeline import Keyed, Study
from dopsd.support import paths
from dopsd.support.errors import UserError


def checked(params: Params) -> dict[str, int]:
    """Each row's number of pictures; UserError where they, or the rows, cannot be."""
    found = pictures.load(params.grid.trained, params.fetch.images)
    if params.searched:  # the stage step_size would search on whole sets
        raise UserError(
            f"{params.where('step_size', 'given')}: step_size.given: no learning rate of {params.searched[0]!r}; rates are "
            f"not searched with a {pictures.FILE}, give it"
        )
    if another := [name for name, method in grid.methods(params).items() if method.needs.another]:
        raise UserError(
            f"{params.where('grid', 'trained')}: grid.trained: {another[0]!r} is shown another concept's pictures, of which "
            f"{pictures.FILE} has no number; take it out"
        )
    return found


def first(concept: str, n: int) -> str:
    """What the set of a concept's first n pictures is called: no concept has a full stop in its name."""
    return f"{concept}.first-{n}"


def write_firsts(params: Params) -> None:
    """Write data/concepts/<concept>.first-<n>/ for every concept and number of pictures, from the concept's set; UserError
    where that is missing or has fewer."""
    numbers = sorted(set(checked(params).values()))
    for concept in grid.fetched(params):
        manifest = paths.concept_set(concept) / "data.jsonl"
        items = read_set(manifest)
        if len(items) < numbers[-1]:
            raise UserError(
                f"{manifest}: {len(items)} pictures, and {pictures.FILE} asks for {numbers[-1]}; take fewer"
            )
        for n in numbers:
            write_set(items[:n], paths.concept_set(first(concept, n)))


class Pictures(Study):
    """The stage `train` of a study with a pictures.yaml; the other stages are `Study`'s, for they find a row by its name."""

    def __init__(self, params: Params, store: Path = paths.STORE):
        super().__init__(params, store)
        self.numbers = checked(params)

    def _training(self, who: str, concept: str, seed: int, rate: float) -> Keyed:
        return super()._training(who, first(concept, self.numbers[who]), seed, rate)


def all_stages(params: Params) -> dict[str, dict[str, Any]]:
    """What each stage of the study depends on, as `keys.all_stages`, with the rows' numbers."""
    numbers, out = checked(params), keys.all_stages(params)
    out["fetch"]["code"] = code.digest(["dopsd.stages.fetch", "dopsd.study.pictures"])
    out["fetch"]["pictures"] = sorted(set(numbers.values()))
    out["train"]["pictures"] = numbers
    out["report"]["code"] = code.digest(["dopsd.stages.pictures", *keys.panel(params).modules()])
    return out
