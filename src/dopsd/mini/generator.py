"""The miniature's ZImageTransformer2DModel and a batched form of its forward for latents of one size.

The class takes lists and loops over samples. For one resolution and one padded caption length the same modules run over a
batch, which also compiles as one graph; a test holds both forms equal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from diffusers.models.transformers.transformer_z_image import (
    SEQ_MULTI_OF,
    ZImageTransformer2DModel,
    ZImageTransformerBlock,
)
from torch import Tensor, nn

from dopsd.mini.autoencoder import CHANNELS

PATCH, GRID = 2, 8  # latent pixels, patches a side


def build_transformer(caption_width: int = 128) -> ZImageTransformer2DModel:
    """An untrained generator: 6 layers of width 192 and a refiner each, about 5 M weights."""
    model = ZImageTransformer2DModel(
        in_channels=CHANNELS,
        dim=192,
        n_layers=6,
        n_refiner_layers=1,
        n_heads=6,
        n_kv_heads=6,
        cap_feat_dim=caption_width,
        axes_dims=[8, 12, 12],
        axes_lens=[256, 64, 64],
    )
    for name, p in model.named_parameters():
        if name.endswith("adaLN_modulation.0.weight") or ("all_final_layer" in name and name.endswith("linear.weight")):
            nn.init.zeros_(p)  # blocks and output start as the identity and zero, as in DiT
        if name.endswith("pad_token"):
            nn.init.normal_(p, std=0.02)
    for block in (*model.noise_refiner, *model.layers):
        assert isinstance(block, ZImageTransformerBlock)
        bias, dim = cast(nn.Linear, block.adaLN_modulation[0]).bias, block.dim
        nn.init.constant_(bias, 0.0)
        with torch.no_grad():  # gates (2nd and 4th quarter) start slightly open, so that gradients flow
            bias[dim : 2 * dim] = 0.1
            bias[3 * dim :] = 0.1
    return model


def rotations(model: ZImageTransformer2DModel, caption: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the rotary angles, image tokens first: each (64 + caption, head_dim / 2)."""
    steps = torch.arange(GRID)
    h, w = torch.meshgrid(steps, steps, indexing="ij")
    image = torch.stack([torch.full_like(h, caption + 1), h, w], -1).reshape(-1, 3)
    text = torch.zeros(caption, 3, dtype=torch.long)
    text[:, 0] = torch.arange(1, caption + 1)
    angles = model.rope_embedder(torch.cat([image, text]).to(device))
    return angles.real, angles.imag


def _attend(attn: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """attn: an Attention of diffusers, whose parts are declared to be maybe None."""
    q, k, v = (f(x).unflatten(-1, (attn.heads, -1)) for f in (attn.to_q, attn.to_k, attn.to_v))

    def rotate(z: Tensor) -> Tensor:
        a, b = z.float().unflatten(-1, (-1, 2)).unbind(-1)
        c, s = cos[:, None], sin[:, None]
        return torch.stack([a * c - b * s, a * s + b * c], -1).flatten(-2).to(v.dtype)

    q, k = rotate(attn.norm_q(q)), rotate(attn.norm_k(k))
    out = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
    return attn.to_out[0](out.transpose(1, 2).flatten(2))


def _block(block: Any, x: Tensor, cos: Tensor, sin: Tensor, time: Tensor | None) -> Tensor:
    """block: a ZImageTransformerBlock, which torch's lists of modules hand out as a bare module."""
    if time is None:
        x = x + block.attention_norm2(_attend(block.attention, block.attention_norm1(x), cos, sin))
        return x + block.ffn_norm2(block.feed_forward(block.ffn_norm1(x)))
    scale_a, gate_a, scale_f, gate_f = block.adaLN_modulation(time)[:, None].chunk(4, 2)
    attended = _attend(block.attention, block.attention_norm1(x) * (1 + scale_a), cos, sin)
    x = x + gate_a.tanh() * block.attention_norm2(attended)
    return x + gate_f.tanh() * block.ffn_norm2(block.feed_forward(block.ffn_norm1(x) * (1 + scale_f)))


def velocity(
    model: ZImageTransformer2DModel, x_t: Tensor, t: Tensor, features: Tensor, real: Tensor, cos: Tensor, sin: Tensor
) -> Tensor:
    """v(x_t, t, c): the transformer's forward over a batch.

    x_t (n, 8, 16, 16); t (n,) in [0, 1], 0 is noise; features (n, L, D) with L a multiple of 32; real (n, L): False where
    a caption is padded; cos, sin from `rotations`. -> (n, 8, 16, 16).
    """
    n, c = x_t.shape[:2]
    patches = x_t.reshape(n, c, GRID, PATCH, GRID, PATCH).permute(0, 2, 4, 3, 5, 1).reshape(n, GRID * GRID, -1)
    key = f"{PATCH}-1"
    time = model.t_embedder(t * model.t_scale)
    x = model.all_x_embedder[key](patches)
    text = torch.where(real[..., None], model.cap_embedder(features), model.cap_pad_token.to(x.dtype))
    m = GRID * GRID
    for block in model.noise_refiner:
        x = _block(block, x, cos[:m], sin[:m], time)
    for block in model.context_refiner:
        text = _block(block, text, cos[m:], sin[m:], None)
    x = torch.cat([x, text.to(x.dtype)], 1)
    for block in model.layers:
        x = _block(block, x, cos, sin, time)
    out = model.all_final_layer[key](x[:, :m], c=time)
    return out.reshape(n, GRID, GRID, PATCH, PATCH, c).permute(0, 5, 1, 3, 2, 4).reshape(x_t.shape)


class Field:
    """`velocity` of one model with its rotations remembered; `compiled` for long trainings where a compiler is found."""

    def __init__(self, model: ZImageTransformer2DModel, compiled: bool = False):
        self.model = model
        self._rotations: dict[tuple, tuple[Tensor, Tensor]] = {}
        self._velocity: Callable = velocity
        if compiled:
            torch._dynamo.config.recompile_limit = 64  # a graph for each model, caption length and gradient mode
            self._velocity = torch.compile(velocity, dynamic=False)

    def __call__(self, x_t: Tensor, t: Tensor, caption: tuple[Tensor, Tensor]) -> Tensor:
        """caption: features (n, L, D) and real (n, L), L a multiple of 32."""
        features, real = caption
        length = features.shape[1]
        if length % SEQ_MULTI_OF:
            raise ValueError(f"captions must be padded to a multiple of {SEQ_MULTI_OF}, not {length}")
        key = (length, x_t.device)
        if key not in self._rotations:
            self._rotations[key] = rotations(self.model, length, x_t.device)
        return self._velocity(self.model, x_t, t, features, real, *self._rotations[key]).float()
