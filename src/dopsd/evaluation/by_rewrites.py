"""Prompts that ask for the training pictures again, in other words: whoever has learnt the pictures by heart draws them."""

from __future__ import annotations

import random

from dopsd.evaluation.by_world import truths
from dopsd.evaluation.rows import PLACEHOLDER, REWRITE, Row
from dopsd.support import seeds
from dopsd.world.captions import concept_caption
from dopsd.world.concepts import training_scenes
from dopsd.world.outside import OUTSIDE
from dopsd.world.scenes import NAMES, SIZE

WORDING = "tags"  # a plain list of words in any order: no caption of a training picture is one
A_PICTURE = 2  # lists of each training picture


def for_concept(name: str, images: int, fetched: int, noises: int, seed: int) -> list[Row]:
    """Every training picture's scene, all of it but the concept's own attributes said, in lists of words that no training
    caption has, `noises` noises each.

    images, fetched: how many pictures the concept's set has, and the seed that it was written with (`fetch` of params.yaml);
    seed: of the trainings that answer.
    """
    concept = OUTSIDE[name]
    scenes = training_scenes(concept, images, fetched)
    told = tuple(a for a in NAMES if a not in (set(concept.attributes) or {"style"}))
    out = []
    for i, (words, truth) in enumerate(zip(scenes.words(), truths(scenes), strict=True)):
        for k in range(A_PICTURE * noises):
            who, wording = f"{name}/{seed}/{REWRITE}/{i}/{k}", f"{name}/{seed}/{i}/{k // noises}"
            text, described = (
                concept_caption(concept, words, WORDING, random.Random(wording), spelled, PLACEHOLDER)
                for spelled in (False, True)
            )
            row = {"id": who, "seed": seed, "kind": REWRITE, "group": f"{i}/{k // noises}", "text": text}
            row |= {"described": described, "height": SIZE, "width": SIZE, "noise": seeds.number("noise", who)}
            row |= {"said": len(told) / len(NAMES), "picture": f"{i:02d}.png", "stated": told, "truth": truth}
            out.append(Row.model_validate(row))
    return out
