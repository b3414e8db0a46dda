"""Pictures of prompts: the roll-out with an autoencoder behind it."""

from __future__ import annotations

from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch import Tensor

from dopsd.backbones.base import Backbone
from dopsd.method.context import Context
from dopsd.method.rollout import sample
from dopsd.support.errors import UserError
from dopsd.support.pictures import from_bytes, to_bytes
from dopsd.support.progress import progress


@torch.no_grad()
def draw(
    backbone: Backbone, contexts: Context, noise: Tensor, nfe: int, batch_size: int, what: str | None = None
) -> Tensor:
    """Draw pictures in `nfe` steps without guidance: contexts (n), noise (n, C, h, w) -> (n, 3, H, W) in [-1, 1].

    what: the name of a progress bar; none without. Where several processes run, each draws a share, all must call, and all
    get all pictures.
    """
    grid = backbone.step_grid(nfe, noise.shape[-2:])
    state = PartialState(cpu=backbone.device.type == "cpu")
    starts = range(0, len(noise), batch_size)
    mine = starts[state.process_index :: state.num_processes]
    out: dict[int, Tensor] = {}
    for start in progress(mine, desc=what, mininterval=5, shown=what is not None and state.is_main_process):
        part = contexts[start : start + batch_size]
        x = noise[start : start + batch_size].to(backbone.device)
        images = backbone.decode(sample(lambda x_t, t, c=part: backbone.velocity(x_t, t, c), x, grid))
        out[start] = to_bytes(images.float().cpu())  # what a picture file holds: stored pictures compare exactly
    if state.num_processes > 1:
        out = dict(gather_object(list(out.items())))
    return from_bytes(torch.cat([out[start] for start in starts]))


def check_words(tokenizer: Any, prompt: str) -> None:
    """UserError where a tokenizer of whole words does not know one; those of real models know pieces of every word."""
    if tokenizer.unk_token_id is None:
        return
    if unknown := [w for w in prompt.split() if tokenizer.unk_token_id in tokenizer(w).input_ids]:
        words = sorted(w for w in tokenizer.get_vocab() if w.isalpha())
        raise UserError(f"the model has no word for {', '.join(unknown)}; it knows: {' '.join(words)}")
