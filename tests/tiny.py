"""Tiny pipelines of the real classes with random weights, saved to disk as the real ones are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import open_clip
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    Krea2Pipeline,
    Krea2Transformer2DModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    BitImageProcessor,
    Dinov2Config,
    Dinov2Model,
    DINOv3ViTConfig,
    DINOv3ViTImageProcessor,
    DINOv3ViTModel,
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessor,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLModel,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

from dopsd.world import tokens

BLOCKS = {
    "block_out_channels": (8, 8),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "latent_channels": 4,
    "norm_num_groups": 4,
    "layers_per_block": 1,
}
WIDTH = 32


def tokenizer(words: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """A tokenizer of bytes, which takes any text, with the miniature's special tokens and chat template. words: further
    ones, a token each."""
    letters = pre_tokenizers.ByteLevel.alphabet()
    vocabulary = {w: i for i, w in enumerate([*tokens.SPECIAL, *sorted(letters)])}
    built = Tokenizer(models.BPE(vocabulary, []))
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = decoders.ByteLevel()
    built.add_special_tokens([AddedToken(w, normalized=False) for w in tokens.SPECIAL])
    built.add_tokens([AddedToken(w, normalized=False) for w in words])
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


def _language(layers: int, words: Sequence[str] = ()) -> dict:
    return {
        "vocab_size": len(tokens.SPECIAL) + 256 + len(words),
        "hidden_size": WIDTH,
        "intermediate_size": 64,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "max_position_embeddings": 2048,
        "pad_token_id": tokens.PAD,
    }


def zimage(folder: Path, seed: int = 0) -> Path:
    """A ZImagePipeline of another shape than the miniature's: latents of half the picture's side."""
    torch.manual_seed(seed)
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
    (folder / "RANDOM_WEIGHTS").touch()
    return folder


def _seeing(layers: int, words: Sequence[str] = ()) -> Qwen3VLConfig:
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
    return Qwen3VLConfig(
        text_config=_language(layers, words) | {"rope_parameters": rope},
        vision_config=vision,
        tie_word_embeddings=True,
        **{k: tokens.VOCABULARY[v] for k, v in ids.items()},
    )


def vlm(folder: Path, words: Sequence[str] = ()) -> Path:
    """A Qwen3-VL whose language model has the shape of `zimage`'s text encoder. words: of its tokenizer."""
    torch.manual_seed(1)
    Qwen3VLForConditionalGeneration(_seeing(3, words)).save_pretrained(folder)
    pixels = {"shortest_edge": 64 * 64, "longest_edge": 64 * 64}
    image = {"patch_size": 8, "merge_size": 2, "temporal_patch_size": 2, "size": pixels}
    Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(**image),
        tokenizer=tokenizer(words),
        video_processor=Qwen3VLVideoProcessor(**image),
        chat_template=tokens.CHAT_TEMPLATE,
    ).save_pretrained(folder)
    return folder


def klein(folder: Path, seed: int = 0) -> Path:
    """A Flux2KleinPipeline: one double and one single block, features of three layers."""
    torch.manual_seed(seed)
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
    (folder / "RANDOM_WEIGHTS").touch()
    return folder


# a token each in Krea 2's template, as in the real tokenizer: its pipeline skips 34, the system prompt
KREA_WORDS = tuple(
    "system|user|assistant|Describe| the| image| by| detailing| color| shape| size| texture| quantity| text| spatial"
    "| relationships| of| objects| and| background".split("|")
)


def krea(folder: Path) -> Path:
    """A distilled Krea2Pipeline: its text encoder sees, and three of its layers are tapped."""
    torch.manual_seed(0)
    transformer = Krea2Transformer2DModel(
        in_channels=16,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=64,
        timestep_embed_dim=16,
        text_hidden_dim=WIDTH,
        num_text_layers=3,
        text_num_attention_heads=2,
        text_num_key_value_heads=2,
        text_intermediate_size=64,
        num_layerwise_text_blocks=1,
        num_refiner_text_blocks=1,
        axes_dims_rope=(4, 6, 6),
    )
    for p in transformer.parameters():
        if not p.any():  # gates and scales are zero at the start of a training, and the text would hardly be felt
            p.data.normal_()
    Krea2Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, use_dynamic_shifting=True),
        vae=AutoencoderKLQwenImage(
            base_dim=8,
            z_dim=4,
            dim_mult=[1, 2],
            num_res_blocks=1,
            temperal_downsample=[False],
            latents_mean=[0.1, -0.2, 0.3, 0.0],
            latents_std=[0.5, 1.5, 0.8, 1.2],
        ),
        text_encoder=Qwen3VLModel(_seeing(4, KREA_WORDS)),
        tokenizer=tokenizer(KREA_WORDS),
        transformer=transformer,
        text_encoder_select_layers=(1, 2, 4),
        is_distilled=True,
    ).save_pretrained(folder)
    (folder / "RANDOM_WEIGHTS").touch()
    return folder


def dino(folder: Path, version: int) -> Path:
    """A DINOv2, or a DINOv3 with two register tokens, with its image processor."""
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    if version == 2:
        Dinov2Model(Dinov2Config(**size)).save_pretrained(folder)
        BitImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}).save_pretrained(folder)
        return folder
    v3 = {"num_register_tokens": 2, "intermediate_size": 64}
    DINOv3ViTModel(DINOv3ViTConfig(**size, **v3)).save_pretrained(folder)
    DINOv3ViTImageProcessor(size={"height": 28, "width": 28}).save_pretrained(folder)
    return folder


def vgg(folder: Path) -> Path:
    """VGG16's convolutions with random weights: LPIPS knows no smaller one."""
    folder.mkdir(parents=True)
    generator, at, inside, state = torch.Generator().manual_seed(0), 0, 3, {}
    for width, repeats in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(repeats):
            weight = torch.randn(width, inside, 3, 3, generator=generator)
            state[f"features.{at}.weight"] = weight / (9 * inside) ** 0.5
            state[f"features.{at}.bias"] = torch.zeros(width)
            at, inside = at + 2, width
        at += 1
    save_file(state, folder / "model.safetensors")
    return folder


OPEN_CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"layers": 1, "width": 32, "head_width": 16, "patch_size": 16, "image_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def clip(folder: Path) -> Path:
    """An open_clip repository: CLIP's own tokenizer, tiny towers."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    save_file(open_clip.model.CLIP(**OPEN_CLIP).state_dict(), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": OPEN_CLIP, "preprocess_cfg": {}}))
    return folder


def reward(folder: Path) -> tuple[Path, str]:
    """Weights alone, as HPSv2 comes, and the architecture's name that open_clip then knows."""
    folder.mkdir(parents=True)
    torch.manual_seed(1)
    torch.save({"state_dict": open_clip.model.CLIP(**OPEN_CLIP).state_dict()}, folder / "reward.pt")
    (folder / "tiny-reward.json").write_text(json.dumps(OPEN_CLIP))
    open_clip.add_model_config(folder / "tiny-reward.json")
    return folder, "tiny-reward"


DISTILLED = {"loss": "x0", "teacher": "ema", "ema": 0.9, "rollout_steps": 3, "shown": "itself"}
ADAPTER = {"pictures": 4, "rollout_steps": 3, "steps": 3, "rate": 1e-3}
METHODS = {
    "dopsd": DISTILLED,
    "off_policy": DISTILLED,
    "sft": {"states": 1},
    "sft_teacher": {"rollout_steps": 3},
    "sft_on_policy": {"rollout_steps": 3},
    "dopsd_mu": DISTILLED,
    "base_lora": {"states": 1},
    "dreambooth": {"weight": 1.0, "pictures": 6, "rollout_steps": 3},
    "pso": {"sharpness": 5.0, "share": 0.1, "kept": 0.5, "pictures": 6, "rollout_steps": 3},
    "anchored_sft": {"weight": 1.0},
    "preservation": {"weight": 1.0},
    "distill_adapter": ADAPTER,
    "repair_lora": ADAPTER,
    "imitation": {"rollout_steps": 3},
}


def lora(preset, folder: Path) -> Path:
    """A random LoRA for a preset's backbone, with an effect."""
    from dopsd import backbones
    from dopsd.training.weights import begin

    backbone = backbones.load(preset.backbone)
    settings = preset.train.model_copy(update={"lora_rank": 4, "lora_alpha": 8.0})
    weights = begin(backbone, settings, 0)
    for p in weights.parameters:
        p.data += 0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(len(p)))
    weights.save(folder)
    return folder


def method(name: str, **changes):
    """A method with settings for short trainings."""
    from dopsd import objectives

    return objectives.method(name, {name: METHODS[name] | changes}, "a test")


SEARCH = {"given": {}, "concepts": ["medal"], "seed": 100, "candidates": [1e-4, 3e-4, 1e-3, 3e-3, 1e-2]}


def searching(tree: dict) -> dict:
    """The repository's params.yaml, as read, made a study that searches its learning rates and tunes one few-step model."""
    return tree | {"step_size": dict(SEARCH), "grid": tree["grid"] | {"turbos": []}}


STUDY = {  # params.yaml's sections, made so small that a study runs in a minute
    "execute": {"jobs": 1},
    "grid": {"concepts": ["beacon"], "seeds": [0, 1], "turbos": []},
    "train": {"steps": 2, "checkpoints": [1], "batch_size": 2, "lora_rank": 2},
    "step_size": SEARCH | {"candidates": [1e-4, 1e-3]},
    "prompts": {"new": 2, "noises": 2, "ordinary": 8},
    "instruments": {"world_frechet": {"features": "reader", "renders": 8}},
    "evaluate": {"nfe": [1, 2], "nfe_sweep": [3], "batch_size": 8},
    "miniature": {
        "renders": 100,
        **{"prompts": 4, "guided": 4, "known": 4, "free": 4, "degraded": 4},
        **{"diversity_prompts": 2, "noises": 2, "eye": 10, "combinations": 1, "pairs": 1},
    },
}
