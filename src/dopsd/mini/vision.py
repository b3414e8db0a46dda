"""The miniature's Qwen3-VL and a batched form of its vision tower for images of one size.

The class itself attends image by image; for 64x64 pictures the same modules run over a whole batch at once. A test holds
both forms equal.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import Qwen3Model, Qwen3VLConfig, Qwen3VLForConditionalGeneration
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionModel

from dopsd.mini.encoder import ROPE_THETA, encoder_config
from dopsd.world import tokens

PATCH, MERGE, GRID = 8, 2, 8  # pixels, patches, patches a side
MROPE_SECTION = [6, 5, 5]  # halves of the head's width given to time, height and width


def vlm_config() -> Qwen3VLConfig:
    """A Qwen3-VL whose language model has the text encoder's shape."""
    text = encoder_config()
    return Qwen3VLConfig(
        text_config={
            "vocab_size": text.vocab_size,
            "hidden_size": text.hidden_size,
            "intermediate_size": text.intermediate_size,
            "num_hidden_layers": text.num_hidden_layers,
            "num_attention_heads": text.num_attention_heads,
            "num_key_value_heads": text.num_key_value_heads,
            "head_dim": text.head_dim,
            "max_position_embeddings": text.max_position_embeddings,
            "rms_norm_eps": text.rms_norm_eps,
            "pad_token_id": text.pad_token_id,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": ROPE_THETA,
                "mrope_section": MROPE_SECTION,
                "mrope_interleaved": True,
            },
        },
        vision_config={
            "depth": 4,
            "hidden_size": 128,
            "intermediate_size": 384,
            "num_heads": 4,
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": 2,
            "out_hidden_size": text.hidden_size,
            "num_position_embeddings": GRID * GRID,
            "deepstack_visual_indexes": [1, 2],
        },
        image_token_id=tokens.VOCABULARY["<|image_pad|>"],
        video_token_id=tokens.VOCABULARY["<|video_pad|>"],
        vision_start_token_id=tokens.VOCABULARY["<|vision_start|>"],
        vision_end_token_id=tokens.VOCABULARY["<|vision_end|>"],
        tie_word_embeddings=True,
    )


def build_tower() -> Qwen3VLVisionModel:
    """The untrained vision tower on its own."""
    return Qwen3VLForConditionalGeneration(vlm_config()).model.visual


def build_vlm(encoder: Qwen3Model) -> Qwen3VLForConditionalGeneration:
    """A Qwen3-VL around the text encoder: its language model IS the encoder's weights, and is frozen."""
    vlm = Qwen3VLForConditionalGeneration(vlm_config())
    vlm.model.language_model.load_state_dict(encoder.state_dict())
    vlm.requires_grad_(False)
    vlm.model.visual.requires_grad_(True)
    return vlm


def patchify(images: Tensor) -> Tensor:
    """Images (n, 3, 64, 64) -> patches (n, 64, 3 * 2 * 8 * 8) in the order of Qwen's image processor (2x2 blocks)."""
    n, side = len(images), GRID // MERGE
    x = images.reshape(n, 3, side, MERGE, PATCH, side, MERGE, PATCH)
    x = x.permute(0, 2, 5, 3, 6, 1, 4, 7).reshape(n, GRID * GRID, 3, 1, PATCH, PATCH)
    return x.expand(-1, -1, -1, 2, -1, -1).reshape(n, GRID * GRID, -1)


def _positions(device: torch.device) -> Tensor:
    """Row and column of each patch in that order: LongTensor (64, 2)."""
    h, w = torch.meshgrid(torch.arange(GRID), torch.arange(GRID), indexing="ij")
    side = GRID // MERGE
    order = torch.stack([h, w], -1).reshape(side, MERGE, side, MERGE, 2).permute(0, 2, 1, 3, 4)
    return order.reshape(-1, 2).to(device)


def tower(visual: Qwen3VLVisionModel, images: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
    """Qwen3VLVisionModel over a batch of 64x64 images in [-1, 1].

    Returns the image tokens (n, 16, D), the deepstack features (each (n, 16, D)) and the last hidden states (n, 64, d).
    """
    at = _positions(images.device)
    weight = visual.patch_embed.proj
    x = F.linear(patchify(images), weight.weight.flatten(1), weight.bias)
    x = x + visual.pos_embed.weight[at[:, 0] * GRID + at[:, 1]]
    angle = (at[:, :, None].float() * visual.rotary_pos_emb.inv_freq.float()).flatten(1)  # (64, head_dim / 2)
    cos, sin = (f(torch.cat([angle, angle], -1))[None, None] for f in (torch.cos, torch.sin))
    deep = []
    for i, block in enumerate(visual.blocks):
        x = _block(block, x, cos, sin)
        if i in visual.deepstack_visual_indexes:
            merger = visual.deepstack_merger_list[list(visual.deepstack_visual_indexes).index(i)]
            deep.append(merger(x).reshape(len(x), tokens.IMAGE_TOKENS, -1))
    return visual.merger(x).reshape(len(x), tokens.IMAGE_TOKENS, -1), deep, x


def _block(block: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """block: a Qwen3VLVisionBlock, which torch's lists of modules hand out as a bare module."""
    x = x + _attention(block.attn, block.norm1(x), cos, sin)
    return x + block.mlp(block.norm2(x))


def _attention(attn: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    n, length, _ = x.shape
    q, k, v = attn.qkv(x).reshape(n, length, 3, attn.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)

    def rotate(z: Tensor) -> Tensor:
        a, b = z.float().chunk(2, -1)
        return (z.float() * cos + torch.cat([-b, a], -1) * sin).to(z.dtype)

    out = F.scaled_dot_product_attention(rotate(q), rotate(k), v)
    return attn.proj(out.transpose(1, 2).reshape(n, length, -1))


def image_positions(length: int, device: torch.device) -> Tensor:
    """Qwen's three-axis positions of [turn start, image, text ...]: LongTensor (3, 1, length)."""
    start = len(tokens.USER) + 1  # the image's first token
    side = GRID // MERGE
    text = torch.arange(length, device=device)
    out = text.expand(3, -1).clone()
    block = slice(start, start + tokens.IMAGE_TOKENS)
    h, w = torch.meshgrid(torch.arange(side, device=device), torch.arange(side, device=device), indexing="ij")
    out[0, block] = start
    out[1, block] = start + h.flatten()
    out[2, block] = start + w.flatten()
    out[:, block.stop :] = start + side + torch.arange(length - block.stop, device=device)
    return out[:, None]


def multimodal_states(vlm: Qwen3VLForConditionalGeneration, images: Tensor, ids: Tensor) -> tuple[Tensor, ...]:
    """All hidden states of [image + prompt (+ answer)] for rows of `tokens.prompt_ids(..., image=True)`.

    images (n, 3, 64, 64); ids (n, L) padded on the right. Returns len(layers) + 1 tensors (n, L, D), as transformers
    counts them: [0] the embeddings, [-1] after the final norm.
    """
    merged, deep, _ = tower(vlm.model.visual, images)
    language = vlm.model.language_model
    start = len(tokens.USER) + 1
    block = slice(start, start + tokens.IMAGE_TOKENS)
    x = language.embed_tokens(ids)
    x = torch.cat([x[:, :start], merged.to(x.dtype), x[:, block.stop :]], 1)
    is_image = torch.zeros(ids.shape, dtype=torch.bool, device=ids.device)
    is_image[:, block] = True
    return language(
        inputs_embeds=x,
        attention_mask=None,  # causal, padded on the right: a token never sees the padding behind it
        position_ids=image_positions(ids.shape[1], ids.device).expand(-1, len(ids), -1),
        visual_pos_masks=is_image,
        deepstack_visual_embeds=[d.flatten(0, 1) for d in deep],
        output_hidden_states=True,
        use_cache=False,
    ).hidden_states
