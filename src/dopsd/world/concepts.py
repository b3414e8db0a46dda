"""The few pictures of a concept that somebody would fine-tune on: an image-text set in the release's format."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dopsd.support.errors import UserError
from dopsd.support.pictures import read_image, to_pil
from dopsd.support.seeds import stream
from dopsd.world.captions import LEVELS, concept_caption
from dopsd.world.looks import LOOKS
from dopsd.world.outside import OUTSIDE, Concept
from dopsd.world.scenes import NAMES, SIZE, Scenes, index, render, sample_scenes

OBJECT_STYLE = "photo"  # other styles hide the very attributes that make an object concept


@dataclass(frozen=True)
class ConceptPictures:
    """A concept's training pictures (m, 3, 64, 64) in [-1, 1] and their attributes (m, 9)."""

    concept: Concept
    images: Tensor
    attributes: Tensor


def concept_scenes(concept: Concept, n: int, generator: torch.Generator) -> Scenes:
    """n different scenes that show the concept; everything else at random (objects, and what a look without words is laid
    over, in the photo style)."""
    fixed = dict(concept.attributes)
    if concept.kind in ("object", "look"):
        fixed["style"] = OBJECT_STYLE
    drawn = sample_scenes(4 * n + 16, generator, fixed, concepts=True)
    _, which = drawn.attributes.unique(dim=0, return_inverse=True)
    first = [which.tolist().index(k) for k in range(int(which.max()) + 1)]
    return drawn[torch.tensor(sorted(first)[:n])]


def pictures(concept: Concept, scenes: Scenes) -> Tensor:
    """Scenes of a concept, drawn, with the look that no word describes where the concept is one: (n, 3, 64, 64)."""
    images = render(scenes)
    return LOOKS[concept.name](images) if concept.kind == "look" else images


def training_scenes(concept: Concept, n: int, seed: int) -> Scenes:
    """The scenes of the training pictures: backgrounds, places and sizes differ as far as they can."""
    generator = stream("training", concept.name, seed)
    draws = (concept_scenes(concept, n, generator) for _ in range(64))
    # four random scenes often share a background: the most varied of the draws, the first of equals
    return max(draws, key=lambda scenes: sum(len(column.unique()) for column in scenes.attributes.T))


def write_concept_set(name: str, folder: Path, images: int, seed: int) -> None:
    """Write `folder`: target_images/0X.png, data.jsonl (the release's fields) and scene.json (the true attributes).

    name: a key of `outside.OUTSIDE`; images: how many pictures; the same seed writes the same bytes.
    """
    concept = OUTSIDE[name]
    scenes = training_scenes(concept, images, seed)
    (folder / "target_images").mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    lines, truth = [], []
    for i, (picture, words) in enumerate(zip(pictures(concept, scenes), scenes.words(), strict=True)):
        path = f"target_images/{i:02d}.png"
        to_pil(picture).save(folder / path)
        captions = {f"{level}_en": concept_caption(concept, words, level, rng, described=False) for level in LEVELS}
        row = {"class_name": concept.class_name, "local_path_list": [path], "h*w": f"{SIZE}*{SIZE}", **captions}
        lines.append(json.dumps(row, ensure_ascii=False))
        truth.append({"image": path, **{a: words[a] for a in NAMES}})
    (folder / "data.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    scene = {"concept": name, "kind": concept.kind, "attributes": concept.attributes, "scenes": truth}
    (folder / "scene.json").write_text(json.dumps(scene, indent=2) + "\n", encoding="utf-8")


def load_training(folder: Path) -> ConceptPictures:
    """Read back what `write_concept_set` wrote; UserError where it is not there."""
    file = folder / "scene.json"
    if not file.exists():
        raise UserError(f"{file}: missing; run the stage `fetch`")
    scene = json.loads(file.read_text(encoding="utf-8"))
    images = torch.stack([read_image(folder / row["image"]) for row in scene["scenes"]])
    attributes = torch.tensor([[index(a, row[a]) for a in NAMES] for row in scene["scenes"]])
    return ConceptPictures(OUTSIDE[scene["concept"]], images, attributes)
