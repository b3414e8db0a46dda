"""Latents with several captions each, on the device, for the base and for the distillation."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor
from transformers import Qwen3Model

from dopsd.mini import loop, pools
from dopsd.mini.autoencoder import encode
from dopsd.mini.encoder import text_features
from dopsd.world import tokens
from dopsd.world.lexicon import sample_named
from dopsd.world.scenes import render

SHORT, LONG = 32, 64  # the transformer pads captions to a multiple of 32
EMPTY = tokens.prompt_ids("")


class CaptionedLatents:
    """A pool of scenes: latents, and token ids of `captions` short prompts and one long prompt each.

    Text-only by construction: features come from the Qwen3 text encoder over token ids of the user's turn.
    """

    def __init__(self, scenes_n: int, captions: int, vae: AutoencoderKL, encoder: Qwen3Model, seed: int):
        self.where = loop.device()
        self.encoder = loop.placed(encoder.eval().requires_grad_(False), self.where)
        scenes = sample_named(scenes_n, loop.generator(seed))
        latents = []
        for i in range(0, scenes_n, 1000):
            latents.append(encode(vae, render(scenes[i : i + 1000].to(self.where))).bfloat16())
        self.latents = torch.cat(latents)
        make = [pools.token_pool(scenes, pools.prompt_row, SHORT, seed * 10 + i) for i in range(captions)]
        self.short = torch.stack(make, 1).to(self.where)
        self.long = pools.token_pool(scenes, pools.long_row, LONG, seed * 10 + 9).to(self.where)
        self.seed = seed

    def features(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Ids (n, L) -> features (n, L, D) and which positions are real (n, L)."""
        ids = ids.long()
        with torch.no_grad(), loop.autocast(self.where):
            return text_features(self.encoder, ids).float(), ids != tokens.PAD

    def empty(self, n: int, length: int) -> tuple[Tensor, Tensor]:
        """The features of the empty prompt, which stands for "no caption" in training and in guidance."""
        ids = tokens.pad([EMPTY], length).to(self.where)
        features, real = self.features(ids)
        return features.expand(n, -1, -1), real.expand(n, -1)

    def ids(self, rows: Tensor, step: int, dropout: float = 0.0) -> Tensor:
        """Captions of these rows: long ones at every fourth step, else one of the short; some replaced by the empty."""
        if step % 4 == 3:
            ids = self.long[rows]
        else:
            pick = torch.randint(self.short.shape[1], (len(rows),), device=self.where)
            ids = self.short[rows, pick]
        if dropout:
            gone = torch.rand(len(ids), 1, device=self.where) < dropout
            ids = torch.where(gone, tokens.pad([EMPTY], ids.shape[1]).to(self.where, ids.dtype), ids)
        return ids

    def batches(self, size: int) -> Iterator[Tensor]:
        """Endless shuffled rows (size,) on the device."""
        for rows in loop.batches(len(self.latents), size, self.seed):
            yield rows.to(self.where)
