"""The proof of the instruments for blur: what known degradations, and other outlines and styles, do to each score."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import torch
from torch import Tensor

from dopsd.evaluation.instruments.blur import contrast, relative, steepness
from dopsd.evaluation.instruments.reader import Reader
from dopsd.evaluation.instruments.sharpness import sharpness
from dopsd.evaluation.statistics import interval
from dopsd.support.seeds import stream
from dopsd.world import damage
from dopsd.world.scenes import ATTRIBUTES, NAMES, Scenes, index, render, sample_scenes

AS_IT_IS = "as it is"
BLURS, CONTRASTS, FOG, NOISE = (0.4, 0.6, 0.8, 1.0), (0.8, 0.5), 0.4, 0.05
DRAWN_OTHERWISE = (
    "unlined",
    "inked",
    "haloed",
    "mosaic",
    "watercolour",
    "sketch",
    "neon",
)  # no degradations: other pictures


def otherwise(scenes: Scenes, word: str) -> Scenes:
    """The same scenes with another outline or in another style."""
    attribute = "outline" if word in ATTRIBUTES["outline"] else "style"
    attributes = scenes.attributes.clone()
    attributes[:, NAMES.index(attribute)] = index(attribute, word)
    return Scenes(attributes, scenes.free)


def degraded(scenes: Scenes) -> dict[str, Tensor]:
    """Renders of the scenes as they are, degraded by known amounts, and drawn otherwise: {name: (n, 3, 64, 64)}."""
    images, n = render(scenes), len(scenes)

    def by(what: Callable[[Tensor, Tensor], Tensor], amount: float, of: Tensor = images) -> Tensor:
        return what(of, torch.full((n,), amount)).clamp(-1, 1)

    noisy = damage.noise(images, torch.full((n,), NOISE), stream("degradations noise")).clamp(-1, 1)
    drawn = {word: render(otherwise(scenes, word)) for word in DRAWN_OTHERWISE}
    return {
        AS_IT_IS: images,
        **{f"blur of {s:g} pixels": by(damage.blur, s) for s in BLURS},
        **{f"contrast of {c:g}": by(damage.faded, c) for c in CONTRASTS},
        f"fog of {FOG:g}": by(damage.fog, FOG),
        f"noise of {NOISE:g}": noisy,
        **drawn,
        "blur of 0.6 pixels, haloed": by(damage.blur, 0.6, drawn["haloed"]),
        "blur of 0.6 pixels, mosaic": by(damage.blur, 0.6, drawn["mosaic"]),
    }


@torch.no_grad()
def degradations(reader: Reader, n: int) -> pd.DataFrame:
    """A row a degradation and score {degradation, score, value, low, high, n} on n scenes in the photo style.

    `..., over the clean`: a mean over that of the renders as they are. `..., over what is read`: the instrument's own, a
    picture at a time over renders of what the reader reads in it. `blur read`: pixels.
    """
    scenes = sample_scenes(n, stream("degradations"), {"style": "photo"})
    pictures = degraded(scenes)
    plain: dict[str, Callable[[Tensor], Tensor]] = {
        "sharpness (Laplacian)": sharpness,
        "steepness": steepness,
        "contrast": contrast,
    }
    clean = {name: measure(pictures[AS_IT_IS]).mean() for name, measure in plain.items()}
    rows = []
    for what, images in pictures.items():
        scores = {f"{name}, over the clean": measure(images) / clean[name] for name, measure in plain.items()}
        scores |= {f"{name}, over what is read": v for name, v in relative(images, reader).items()}
        scores["blur read"] = reader.damages(images)[:, 0]
        rows += [{"degradation": what, "score": k, **interval(v.double().numpy())} for k, v in scores.items()]
    return pd.DataFrame(rows)
