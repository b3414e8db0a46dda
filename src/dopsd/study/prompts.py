"""The rows of a study: what all its methods are asked, written once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from dopsd.config.params import Params
from dopsd.evaluation import by_pictures, by_world, rows
from dopsd.evaluation.by_pictures import Ask
from dopsd.evaluation.rows import Row
from dopsd.sets.jsonl import read_set
from dopsd.study.grid import fetched
from dopsd.support import paths
from dopsd.support.errors import UserError
from dopsd.world.concepts import load_training
from dopsd.world.outside import OUTSIDE

FILES = "write it there, or choose another prompts.source"


def seeds_of(params: Params, concept: str) -> Sequence[int]:
    """The trainings' seeds that a concept's prompts are for."""
    return params.grid.seeds if concept in params.grid.concepts else (params.step_size.seed,)


def _by_world(params: Params, concept: str) -> Iterable[Row]:
    """New scenes of the concept, and its own block of ordinary prompts, at every openness that is asked."""
    if concept not in OUTSIDE:
        raise UserError(
            f"{params.where('prompts', 'source')}: prompts.source world: {concept!r} is none of its concepts; choose vlm, "
            "captions or files"
        )
    known, wanted = load_training(paths.concept_set(concept)).attributes, params.prompts
    also = wanted.also_said if concept in params.grid.concepts else ()
    for seed in seeds_of(params, concept):
        for said, chance in [(wanted.said, None), *zip(also, also, strict=True)]:
            yield from by_world.for_concept(concept, wanted.new, wanted.noises, seed, known, said, chance)
            yield from by_world.ordinary(concept, wanted.ordinary, seed, said, chance)


def _by_pictures(params: Params, concept: str, ask: Ask | None) -> list[Row]:
    items, wanted = read_set(paths.concept_set(concept) / "data.jsonl"), params.prompts
    pairs = by_pictures.written(items, wanted, ask)
    return by_pictures.for_concept(concept, items, pairs, wanted.noises, wanted.seed)


def written(params: Params, ask: Ask | None) -> dict[Path, list[Row]]:
    """Every file of the study's prompts with its rows: one a concept, and that of the ordinary prompts that all concepts
    share, of which the world makes none (each concept has its own).

    ask: the VLM that sees the pictures, where `prompts.source` is vlm.
    """
    wanted, out = params.prompts, {}
    if wanted.source == "files":
        folder = Path(wanted.folder or "")
        names = [*fetched(params), paths.ORDINARY]
        for name in names:
            found = rows.read(folder / f"{name}.jsonl", FILES)
            own = name == paths.ORDINARY and all(rows.of_kind(mine, rows.ORDINARY) for mine in out.values())
            if not found and not own:  # each concept's file may hold its own ordinary prompts
                raise UserError(f"{folder / name}.jsonl: no prompts; write one line of JSON for each")
            out[paths.prompts(name)] = found
        return out
    for concept in fetched(params):
        of = _by_world(params, concept) if wanted.source == "world" else _by_pictures(params, concept, ask)
        out[paths.prompts(concept)] = list(of)
    shared = []
    if wanted.source != "world":
        texts = by_pictures.listed(wanted.ordinary_list, wanted.ordinary)
        shared = by_pictures.ordinary(texts, params.fetch.size, wanted.seed)
    return out | {paths.prompts(paths.ORDINARY): shared}


def ordinary_texts(params: Params, n: int) -> list[str]:
    """Ordinary prompts that no cell answers, n at most: what a few-step model draws to make pictures of its own."""
    if params.prompts.source == "world":
        return [row.text for row in by_world.ordinary("of its own", n, 0, params.prompts.said)]
    return by_pictures.listed(params.prompts.ordinary_list, params.prompts.ordinary)[:n]


def asked(concept: str) -> list[Row]:
    """All rows that a cell of a concept answers: the concept's and the ordinary ones, or these alone."""
    plain = rows.read(paths.prompts(paths.ORDINARY))
    return plain if concept == paths.ORDINARY else [*rows.read(paths.prompts(concept)), *plain]
