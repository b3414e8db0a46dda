"""Domains for full fine-tuning: a look from `outside`, of which there are as many different pictures as wanted, whose words
no caption says, nor any name.

"terrazzo" has captions that say all the rest of a scene, "terrazzo open" such as leave as much open as those of pretraining
do: then many pictures have one caption, and neither the data nor a teacher that has seen one of them gives one answer to it.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch
from torch import Tensor

from dopsd.support.errors import UserError, nearest
from dopsd.support.pictures import to_pil
from dopsd.support.seeds import stream
from dopsd.world.captions import LEVELS, concept_caption
from dopsd.world.concepts import concept_scenes, pictures
from dopsd.world.naming import KEEP
from dopsd.world.outside import OUTSIDE, Concept
from dopsd.world.scenes import NAMES, SIZE, Scenes

AT_A_TIME = 64  # pictures that are rendered together
OPEN = "open"
DOMAINS = {c.name: c for c in OUTSIDE.values() if c.kind != "object"}


def domain(name: str) -> Concept:
    """The look of a domain; UserError where there is none of this name."""
    name = name.removesuffix(f" {OPEN}")
    if name not in DOMAINS:
        raise UserError(
            f"params.yaml: fetch.folders: {name!r} is no domain of the world{nearest(name, DOMAINS)}; known: "
            f"{', '.join(DOMAINS)}"
        )
    return DOMAINS[name]


def own(name: str) -> dict[str, str]:
    """What makes a domain: attributes' words, or the look that no word describes."""
    look = domain(name)
    return look.attributes or {"look": look.name}


def renders(name: str, n: int, what: str) -> Tensor:
    """n pictures of a domain, (n, 3, 64, 64) in [-1, 1]. what: of which purpose; others have other scenes."""
    concept = domain(name)
    return torch.cat(_drawn(concept, concept_scenes(concept, n, stream("domain", what, concept.name))))


def _drawn(concept: Concept, scenes: Scenes) -> list[Tensor]:
    """The pictures of scenes, in parts that a machine's memory holds."""
    return [pictures(concept, scenes[start : start + AT_A_TIME]) for start in range(0, len(scenes), AT_A_TIME)]


def write_domain(name: str, folder: Path, images: int, seed: int) -> None:
    """Write an image-text set in the release's format: `folder`/target_images/0000.png and data.jsonl, a caption a picture.

    A caption says of the rest of the scene all, or of an open domain as much as one of pretraining does (`naming.KEEP`).
    images: how many pictures; the same seed writes the same bytes. UserError where there is no such domain.
    """
    concept = domain(name)
    scenes = concept_scenes(concept, images, stream("domain", "training", concept.name, seed))
    rng, chances = random.Random(f"{concept.name}/{seed}"), KEEP if name.endswith(OPEN) else (1.0,)
    (folder / "target_images").mkdir(parents=True, exist_ok=True)
    lines = []
    for i, (picture, words) in enumerate(zip(torch.cat(_drawn(concept, scenes)), scenes.words(), strict=True)):
        path = f"target_images/{i:04d}.png"
        to_pil(picture).save(folder / path)
        keep, level = rng.choice(chances), rng.choice(LEVELS)
        mention = {a for a in NAMES if rng.random() < keep}
        text = concept_caption(concept, words, level, rng, described=False, name=None, mention=mention)
        row = {"class_name": name, "local_path_list": [path], "h*w": f"{SIZE}*{SIZE}", f"{level}_en": text}
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    (folder / "data.jsonl").write_text("".join(lines), encoding="utf-8")
