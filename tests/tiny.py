"""Tiny pipelines of the real classes with random weights, saved to disk as the real ones are."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessor,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

from dopsd.mini import tokens

BLOCKS = {
    "block_out_channels": (8, 8),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "latent_channels": 4,
    "norm_num_groups": 4,
    "layers_per_block": 1,
}
WIDTH = 32


def tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of bytes, which takes any text, with the miniature's special tokens and chat template."""
    letters = pre_tokenizers.ByteLevel.alphabet()
    vocabulary = {w: i for i, w in enumerate([*tokens.SPECIAL, *sorted(letters)])}
    built = Tokenizer(models.BPE(vocabulary, []))
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = decoders.ByteLevel()
    built.add_special_tokens([AddedToken(w, normalized=False) for w in tokens.SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=built,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        padding_side="right",
        chat_template=tokens.CHAT_TEMPLATE,
        extra_special_tokens={
            "image_token": "<|image_pad|>",
            "video_token": "<|video_pad|>",
            "vision_bos_token": "<|vision_start|>",
            "vision_eos_token": "<|vision_end|>",
        },
    )


def _language(layers: int) -> dict:
    return {
        "vocab_size": len(tokens.SPECIAL) + 256,
        "hidden_size": WIDTH,
        "intermediate_size": 64,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "max_position_embeddings": 2048,
        "pad_token_id": tokens.PAD,
    }


def zimage(folder: Path) -> Path:
    """A ZImagePipeline of another shape than the miniature's: latents of half the picture's side."""
    torch.manual_seed(0)
    ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0),
        vae=AutoencoderKL(**BLOCKS, scaling_factor=0.7, shift_factor=0.1),
        text_encoder=Qwen3Model(Qwen3Config(**_language(3))),
        tokenizer=tokenizer(),
        transformer=ZImageTransformer2DModel(
            in_channels=4,
            dim=WIDTH,
            n_layers=2,
            n_refiner_layers=1,
            n_heads=2,
            n_kv_heads=2,
            cap_feat_dim=WIDTH,
            axes_dims=[4, 6, 6],
            axes_lens=[2048, 64, 64],
        ),
    ).save_pretrained(folder)
    return folder


def vlm(folder: Path) -> Path:
    """A Qwen3-VL whose language model has the shape of `zimage`'s text encoder."""
    torch.manual_seed(1)
    rope = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [3, 3, 2], "mrope_interleaved": True}
    vision = {
        "depth": 2,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_heads": 2,
        "patch_size": 8,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "out_hidden_size": WIDTH,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0],
    }
    ids = {"image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>"}
    ids |= {"vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>"}
    config = Qwen3VLConfig(
        text_config=_language(3) | {"rope_parameters": rope},
        vision_config=vision,
        tie_word_embeddings=True,
        **{k: tokens.VOCABULARY[v] for k, v in ids.items()},
    )
    Qwen3VLForConditionalGeneration(config).save_pretrained(folder)
    pixels = {"shortest_edge": 64 * 64, "longest_edge": 64 * 64}
    image = {"patch_size": 8, "merge_size": 2, "temporal_patch_size": 2, "size": pixels}
    Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(**image),
        tokenizer=tokenizer(),
        video_processor=Qwen3VLVideoProcessor(**image),
        chat_template=tokens.CHAT_TEMPLATE,
    ).save_pretrained(folder)
    return folder


def klein(folder: Path) -> Path:
    """A Flux2KleinPipeline: one double and one single block, features of three layers."""
    torch.manual_seed(0)
    vae = AutoencoderKLFlux2(**BLOCKS)
    vae.bn.running_mean.copy_(torch.randn(16) / 4)
    vae.bn.running_var.copy_(torch.rand(16) + 0.5)
    Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0, use_dynamic_shifting=True),
        vae=vae,
        text_encoder=Qwen3ForCausalLM(Qwen3Config(**_language(4))),
        tokenizer=tokenizer(),
        transformer=Flux2Transformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=3 * WIDTH,
            axes_dims_rope=(4, 4, 4, 4),
            guidance_embeds=False,
        ),
        is_distilled=True,
    ).save_pretrained(folder)
    return folder
