"""Contrastive models of pictures and texts, by open_clip: the CLIP score, and rewards that were tuned from such a model."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import open_clip
import torch
import torch.nn.functional as F
from PIL.Image import Image
from torch import Tensor

from dopsd.backbones import hub
from dopsd.config.section import Source
from dopsd.evaluation.instruments import Score, View
from dopsd.evaluation.rows import NEW, REWRITE
from dopsd.support.errors import UserError
from dopsd.support.pictures import from_pil, to_pil

CLIP_FILES = ("open_clip_config.json", "open_clip*model.*")


class Contrastive:
    """The interface of the miniature's CLIP (`mini_clip`) for any open_clip model.

    folder: an open_clip repository's files; or, with `architecture` (a name that open_clip knows) and `file`, weights
    alone, as HPSv2 publishes them. Files that are not safetensors are read by torch's weights-only reader: no code runs.
    Images are (3, H, W) in [-1, 1], of any size each; texts longer than the model's context are cut (see `too_long`).
    """

    def __init__(self, folder: Path, device: torch.device, architecture: str | None = None, file: str | None = None):
        name = architecture or f"local-dir:{folder}"
        # HPSv2 fits the longest side and pads; a CLIP of a repository says in its configuration what it does
        how: dict[str, Any] = {}
        if architecture:
            assert file is not None, "an architecture comes with its weights' file"
            how = {"pretrained": str(folder / file), "image_resize_mode": "longest"}
        opened: Any  # what open_clip returns depends on its arguments: here the model and its transform
        try:
            opened = open_clip.create_model_from_pretrained(name, device=device, **how)
            self.tokenizer = open_clip.get_tokenizer(name)
        except (RuntimeError, OSError, ValueError, pickle.UnpicklingError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"{folder}: cannot open the contrastive model ({reason}); name an open_clip model"
            ) from None
        self.model: Any = opened[0].eval().requires_grad_(False)
        self.preprocess: Callable[[Image], Tensor] = opened[1]
        self.device = device

    @torch.no_grad()
    def image_features(self, images: Sequence[Tensor], batch_size: int = 16) -> Tensor:
        """n pictures -> (n, d) of unit norm."""
        out = []
        for start in range(0, len(images), batch_size):
            batch = torch.stack([self.preprocess(to_pil(x)) for x in images[start : start + batch_size]])
            out.append(self.model.encode_image(batch.to(self.device)).float().cpu())
        return F.normalize(torch.cat(out), dim=-1)

    @torch.no_grad()
    def text_features(self, texts: Sequence[str]) -> Tensor:
        """n texts -> (n, d) of unit norm."""
        out = [self.model.encode_text(self.tokenizer([t]).to(self.device)).float().cpu() for t in texts]
        return F.normalize(torch.cat(out), dim=-1)

    def too_long(self, texts: Sequence[str]) -> int:
        """How many texts fill the model's context (CLIP: 77 tokens) and so are cut, or nearly."""
        return sum(bool(self.tokenizer([t])[0, -1] != self.tokenizer([""])[0, -1]) for t in texts)

    def score(self, images: Sequence[Tensor], texts: Sequence[str]) -> Tensor:
        """The cosine of each picture and its text, in [-1, 1]: CLIP-S, and HPSv2's reward: (n,)."""
        return (self.image_features(images) * self.text_features(texts)).sum(1)


class ByClip:
    """New pictures beside the training pictures, and every picture beside its prompt."""

    Settings = Source
    scores: ClassVar = {
        "clip_image": Score("higher", "CLIP cosine of new pictures and the training pictures", (NEW,), ("training",)),
        "clip_score": Score("higher", "CLIP-S of a picture and its prompt, [V] spelled out", (NEW, REWRITE)),
    }

    def __init__(self, settings: Source, device: torch.device, opened: Callable[[str], Any]):
        self.eye = Contrastive(fetch(settings), device)

    def features(self, view: View) -> Tensor:
        """(n, d) of unit norm."""
        return view.once("clip features", lambda: self.eye.image_features(view.images))

    def score(self, name: str, view: View) -> Tensor:
        """(n,). Texts longer than the model's context are cut, and it is said how many."""
        if name == "clip_image":
            known = self.eye.image_features([from_pil(i.image()) for i in view.items])
            return (self.features(view) @ known.T).mean(1)
        return against_texts(self.eye, view, self.features(view))


def against_texts(eye: Contrastive, view: View, features: Tensor) -> Tensor:
    """The cosine of each picture and its prompt (n,), after saying how many prompts are cut."""
    texts = view.texts()
    if cut := eye.too_long(texts):
        print(f"{cut} of {len(texts)} prompts are longer than the contrastive model's context and are cut")
    return (features * eye.text_features(texts)).sum(1)


def fetch(settings: Source) -> Path:
    """The folder of its files."""
    return hub.fetch(settings.model, settings.revision, "clip's model", CLIP_FILES, hub.OPTIONAL)


INSTRUMENT = ByClip
