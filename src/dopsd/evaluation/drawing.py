"""Pictures of prompts: the roll-out with an autoencoder behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from PIL.Image import Image
from torch import Tensor

from dopsd.backbones.base import Backbone
from dopsd.evaluation.rows import Row
from dopsd.method.context import Context
from dopsd.method.rollout import sample
from dopsd.sets.items import Item, by_name
from dopsd.support.errors import UserError
from dopsd.support.pictures import from_bytes, to_bytes
from dopsd.support.progress import progress


@torch.no_grad()
def draw(
    backbone: Backbone,
    contexts: Context,
    noise: Tensor,
    nfe: int,
    batch_size: int,
    what: str | None = None,
    guidance: float = 0.0,
    empty: Context | None = None,
) -> Tensor:
    """Draw pictures in `nfe` steps: contexts (n), noise (n, C, h, w) -> (n, 3, H, W) in [-1, 1].

    what: the name of a progress bar; none without. guidance g: v + g (v - v_empty), with the context of the empty prompt,
    which costs a second evaluation a step; 0: without. Where several processes run, each draws a share, all must call, and
    all get all pictures.
    """
    grid = backbone.step_grid(nfe, noise.shape[-2:])
    state = PartialState(cpu=backbone.device.type == "cpu")
    starts = range(0, len(noise), batch_size)
    mine = starts[state.process_index :: state.num_processes]
    out: dict[int, Tensor] = {}

    def velocity(x_t: Tensor, t: Tensor, part: Context) -> Tensor:
        v = backbone.velocity(x_t, t, part)
        if not guidance:
            return v
        assert empty is not None, "guidance needs the context of the empty prompt"
        return v + guidance * (v - backbone.velocity(x_t, t, empty * len(part)))

    for start in progress(mine, desc=what, mininterval=5, shown=what is not None and state.is_main_process):
        part = contexts[start : start + batch_size]
        x = noise[start : start + batch_size].to(backbone.device)
        images = backbone.decode(sample(lambda x_t, t, c=part: velocity(x_t, t, c), x, grid))
        out[start] = to_bytes(images.float().cpu())  # what a picture file holds: stored pictures compare exactly
    if state.num_processes > 1:
        out = dict(gather_object(list(out.items())))
    return from_bytes(torch.cat([out[start] for start in starts]))


Told = Literal[
    "said", "described", "seen"
]  # the prompt; with the concept spelled out; with a training picture beside it


@dataclass(frozen=True)
class Asked:
    """Prompts, encoded once: the same pictures may then be drawn again and again, under whatever weights are on the
    backbone. noise: (C, h, w) each. empty: the empty prompt's context, where guidance needs it."""

    contexts: Context
    noise: list[Tensor]
    empty: Context | None

    @classmethod
    def of(
        cls,
        backbone: Backbone,
        rows: Sequence[Row],
        items: Sequence[Item] = (),
        told: Told = "said",
        guided: bool = False,
    ) -> Asked:
        """items: of the training set; in the editing task a row is drawn from the input pictures of the one that it belongs
        to. told: what the model is given, see `Told`; UserError where a row does not say how its concept is spelled out."""
        texts = [_text(r, told == "described") for r in rows]
        noise = [r.start(backbone.latent_shape(*r.size)) for r in rows]
        named, asked = by_name([i for i in items if i.inputs]), {r.picture for r in rows}
        inputs = {name: item.references() for name, item in named.items() if name in asked}
        references = [inputs.get(r.picture or "", []) for r in rows] if named else None
        contexts = backbone.context(texts, _seen(rows, items) if told == "seen" else None, references=references)
        return cls(contexts, noise, backbone.context([""]) if guided else None)

    def drawn(
        self, backbone: Backbone, nfe: int, guidance: float, batch_size: int, what: str | None = None
    ) -> list[Tensor]:
        """A picture (3, H, W) in [-1, 1] each; those of one size are drawn together, so that processes share them."""
        out: dict[int, Tensor] = {}
        for shape in sorted({x.shape for x in self.noise}):
            ks = [k for k, x in enumerate(self.noise) if x.shape == shape]
            given, noise = [self.contexts[k] for k in ks], torch.stack([self.noise[k] for k in ks])
            out |= zip(ks, draw(backbone, given, noise, nfe, batch_size, what, guidance, self.empty), strict=True)
        return [out[k] for k in range(len(out))]


def _seen(rows: Sequence[Row], items: Sequence[Item]) -> list[Image]:
    """The training picture that each row's model has seen: the one that the row belongs to, else one after another."""
    named = by_name(items)
    seen = [named.get(r.picture or "", items[i % len(items)]) for i, r in enumerate(rows)]
    images = {item.file: item.image() for item in seen}
    return [images[item.file] for item in seen]


def _text(row: Row, described: bool) -> str:
    if not described:
        return row.text
    if row.described is None:
        raise UserError(f"prompt {row.id}: described: missing, and a method draws it; say there what [V] stands for")
    return row.described


def check_words(tokenizer: Any, prompt: str) -> None:
    """UserError where a tokenizer of whole words does not know one; those of real models know pieces of every word."""
    if tokenizer.unk_token_id is None:
        return
    if unknown := [w for w in prompt.split() if tokenizer.unk_token_id in tokenizer(w).input_ids]:
        words = sorted(w for w in tokenizer.get_vocab() if w.isalpha())
        raise UserError(f"the model has no word for {', '.join(unknown)}; it knows: {' '.join(words)}")
