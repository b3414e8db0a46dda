"""A vision-language model as a judge of identity: one of four labels for each picture beside its target (VLM-J)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from PIL.Image import Image
from torch import Tensor

from dopsd.backbones import hub
from dopsd.backbones.vlm import Vlm
from dopsd.config.section import Count, Source
from dopsd.evaluation.instruments import Score, View
from dopsd.evaluation.rows import NEW
from dopsd.support.pictures import to_pil

LABELS = (  # worth 1, 2, 3, 4; the wording is ours, the scale the paper's
    "another kind of thing or style",
    "the same kind, but clearly another one",
    "nearly the same, with visible differences",
    "the same one",
)
QUESTION = (
    "The first picture shows {name}. The second picture was drawn for the prompt: {prompt}\n"
    "Look only at {name}, not at the scene. What does the second picture show?\n{labels}\nAnswer with one letter."
)


class Judge:
    """See the module's text."""

    def __init__(self, vlm: Vlm):
        self.vlm = vlm

    def score(
        self, images: Sequence[Tensor], targets: Sequence[Image], prompts: Sequence[str], names: Sequence[str]
    ) -> Tensor:
        """1 (unlike) to 4 (the same) for each picture (3, H, W) in [-1, 1] beside its target: (n,). names: what
        "[V]" is in each.

        The likeliest of the four letters, so that there is always an answer, and always the same.
        """
        letters = [chr(ord("A") + i) for i in range(len(LABELS))]
        labels = "\n".join(f"{letter}: {label}" for letter, label in zip(letters, LABELS, strict=True))
        out = []
        for image, target, prompt, name in zip(images, targets, prompts, names, strict=True):
            question = QUESTION.format(name=name, prompt=prompt.replace("[V]", name), labels=labels)
            out.append(1 + self.vlm.choose([target, to_pil(image)], question, letters))
        return torch.tensor(out, dtype=torch.float64)


class Settings(Source):
    """max_pixels: of each picture that it sees."""

    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    max_pixels: Count = 768 * 768


class ByJudge:
    """New pictures beside the training pictures that their prompts belong to."""

    Settings = Settings
    scores: ClassVar = {
        "judge": Score(
            "higher", "VLM-J of new pictures: 1 another kind of thing to 4 the same one", (NEW,), ("picture",)
        )
    }

    def __init__(self, settings: Settings, device: torch.device, opened: Callable[[str], Any]):
        dtype = getattr(torch, settings.dtype)
        self.judge = Judge(Vlm(str(fetch(settings)), None, device, dtype, settings.max_pixels))

    def score(self, name: str, view: View) -> Tensor:
        """(n,)."""
        seen = view.targets()
        names = [i.class_name for i in seen]
        return self.judge.score(view.images, [i.image() for i in seen], [r.text for r in view.rows], names)


def fetch(settings: Settings) -> Path:
    """The folder of its files."""
    return hub.fetch(settings.model, settings.revision, "judge's model", hub.WEIGHTS, hub.OPTIONAL)


INSTRUMENT = ByJudge
