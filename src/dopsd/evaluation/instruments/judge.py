"""A vision-language model as a judge of identity: one of four labels for each picture beside its target (VLM-J)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL.Image import Image
from torch import Tensor

from dopsd.backbones.vlm import Vlm
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
