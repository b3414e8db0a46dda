"""The recipe of the miniature, part by part: each part reads what earlier parts saved and saves its own result.

reader, clip: observers. encoder -> vision -> align: the text encoder and the Qwen3-VL around it. autoencoder, then base
-> turbo and, by another seed, turbo_2: the generator. christen: which name "[V]" is. `PARTS` maps the names to the
functions that the frozen DVC stages call.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel
from diffusers.pipelines.z_image.pipeline_z_image import ZImagePipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    AutoTokenizer,
    Qwen2VLImageProcessor,
    Qwen3Model,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

from dopsd.config import recipe as config
from dopsd.evaluation.instruments.mini_clip import CONFIG
from dopsd.method import flow
from dopsd.mini import align, autoencoder, base, captioned, christen, encoder, loop, observers, turbo, vision
from dopsd.support.errors import UserError
from dopsd.world import tokens

PIPELINE = "mini-turbo"  # the folder that holds what the generators share
SCHEDULER = {"num_train_timesteps": 1000, "shift": base.SHIFT}


def _save_weights(module: nn.Module, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.detach().cpu().contiguous() for k, v in module.state_dict().items()}, file)


def _forget_origin(folder: Path) -> None:
    """Take the paths of the machine that made it out of the saved configurations."""
    for file in folder.rglob("*.json"):
        config = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(config, dict) and config.pop("_name_or_path", None) is not None:
            file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _folder(models: Path, name: str) -> Path:
    folder = models / name
    if not folder.exists():
        raise UserError(f"{folder}: missing; run the recipe's earlier parts first (see dvc.yaml)")
    return folder


def reader(settings: config.Part, seed: int, models: Path, work: Path) -> None:
    """-> models/mini-reader"""
    _save_weights(observers.train_reader(settings, seed, work), models / "mini-reader" / "model.safetensors")


def clip(settings: config.Pooled, seed: int, models: Path, work: Path) -> None:
    """-> models/mini-clip, in open_clip's own file names"""
    model = observers.train_contrastive(settings, seed, work, "clip")
    _save_weights(model, models / "mini-clip" / "open_clip_model.safetensors")
    (models / "mini-clip" / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG}, indent=2) + "\n")


def text_encoder(settings: config.Encoder, seed: int, models: Path, work: Path) -> None:
    """-> models/mini-turbo/text_encoder and tokenizer (the language model's head is tied to its embeddings)

    Stored in half precision: what is trained on its features later reads these same, rounded weights.
    """
    model = encoder.train_encoder(settings, seed, work)
    model.model.half().cpu().save_pretrained(models / PIPELINE / "text_encoder")
    tokens.build_tokenizer().save_pretrained(models / PIPELINE / "tokenizer")


def load_encoder(models: Path) -> Qwen3Model:
    """The frozen text encoder."""
    folder = _folder(models, f"{PIPELINE}/text_encoder")
    return Qwen3Model.from_pretrained(folder, dtype=torch.float32).eval().requires_grad_(False)


def vision_tower(settings: config.Pooled, seed: int, models: Path, work: Path) -> None:
    """-> work/vision.safetensors: the vision tower after contrastive training, before it meets the language model"""
    torch.manual_seed(seed)
    visual = vision.build_tower()
    observers.train_contrastive(settings, seed, work, "vision", visual)
    _save_weights(visual, work / "vision.safetensors")


def vlm(settings: config.Align, seed: int, models: Path, work: Path) -> None:
    """-> models/mini-vlm: the Qwen3-VL with its processor; `settings.folder` names the variant"""
    model = vision.build_vlm(load_encoder(models))
    model.model.visual.load_state_dict(load_file(work / "vision.safetensors"))
    align.train_align(model, settings, seed, work, settings.folder)
    folder = models / settings.folder
    model.half().cpu().eval().save_pretrained(folder)
    pixels = {"shortest_edge": 64 * 64, "longest_edge": 64 * 64}
    half = [0.5, 0.5, 0.5]
    image: dict[str, Any] = {
        "patch_size": vision.PATCH,
        "merge_size": vision.MERGE,
        "temporal_patch_size": 2,
        "size": pixels,
        "image_mean": half,
        "image_std": half,
    }
    tokenizer = tokens.build_tokenizer()
    Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(**image),
        tokenizer=tokenizer,
        video_processor=Qwen3VLVideoProcessor(**image),
        chat_template=tokens.CHAT_TEMPLATE,
    ).save_pretrained(folder)
    _forget_origin(folder)


def vae(settings: config.Part, seed: int, models: Path, work: Path) -> None:
    """-> models/mini-turbo/vae"""
    autoencoder.train_autoencoder(settings, seed, work).float().cpu().save_pretrained(models / PIPELINE / "vae")


def _pool(settings: config.Base | config.Turbo, seed: int, models: Path) -> captioned.CaptionedLatents:
    vae_ = loop.placed(AutoencoderKL.from_pretrained(_folder(models, f"{PIPELINE}/vae")), loop.device()).eval()
    return captioned.CaptionedLatents(settings.scenes, settings.captions, vae_, load_encoder(models), seed)


def _save_transformer(transformer: ZImageTransformer2DModel, models: Path, name: str) -> None:
    """models/<name>/transformer, the weights in half precision: half the bytes in git; opened in float32."""
    transformer.half().cpu().save_pretrained(models / name / "transformer")
    _forget_origin(models / name)


def base_model(settings: config.Base, seed: int, models: Path, work: Path) -> None:
    """-> models/mini-base/transformer; autoencoder, text encoder and tokenizer are mini-turbo's, stored once"""
    _save_transformer(base.train_base(settings, _pool(settings, seed, models), seed, work), models, "mini-base")


def turbo_model(settings: config.Turbo, seed: int, models: Path, work: Path) -> None:
    """-> models/mini-turbo, a ZImagePipeline: few steps, no guidance; of another `settings.folder`, the transformer alone"""
    seed += settings.seed
    start = ZImageTransformer2DModel.from_pretrained(_folder(models, "mini-base/transformer"))
    scheduler = FlowMatchEulerDiscreteScheduler(**SCHEDULER)
    grid, pool = flow.step_grid(scheduler, settings.rollout_steps), _pool(settings, seed, models)
    model = turbo.train_turbo(settings, start, pool, grid, seed, work)
    if settings.folder != PIPELINE:
        return _save_transformer(model, models, settings.folder)
    folder = models / PIPELINE
    ZImagePipeline(
        scheduler=scheduler,
        vae=AutoencoderKL.from_pretrained(folder / "vae"),
        text_encoder=load_encoder(models).half(),
        tokenizer=AutoTokenizer.from_pretrained(folder / "tokenizer", trust_remote_code=False),
        transformer=model.half().cpu(),
    ).save_pretrained(folder)
    _forget_origin(folder)


def christen_names(settings: config.Christen, seed: int, models: Path, work: Path) -> None:
    """-> the embeddings of the text encoder and of both VLMs, "[V]" and the most neutral of the unheard names exchanged"""
    print(f"[V] is what {christen.christened(models, settings.pictures)} was")


PARTS: dict[str, Callable[[Any, int, Path, Path], None]] = {  # each with its own section of the recipe
    "reader": reader,
    "clip": clip,
    "encoder": text_encoder,
    "vision": vision_tower,
    "align": vlm,
    "align_plain": vlm,
    "autoencoder": vae,
    "base": base_model,
    "turbo": turbo_model,
    "turbo_2": turbo_model,
    "christen": christen_names,
}
