"""The small Z-Image study on random weights of the real size: its models, pictures and params.yaml, for `cells.py`.

Sizes: the transformer as in `step.py`; the text encoder Qwen3-4B's; the VLM the same language model with the vision tower of
Qwen3-VL-4B (24 layers of width 1024, three of them tapped); the VAE FLUX.1's, which Z-Image uses (two layers a block, 128 to
512 channels), in float32 as the project keeps it. What is not said here are the defaults of diffusers and transformers.
The tokenizer is the miniature's, a token a word: prompts are made as long as the benchmarks' others.
"""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path
from typing import Any

import torch
import yaml
from diffusers import AutoencoderKL
from PIL import Image
from step import BLOCKS, TEXT, TINY_TEXT, made, random_model
from transformers import (
    Qwen2VLImageProcessor,
    Qwen3Config,
    Qwen3Model,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

from dopsd.config.params import Params, load
from dopsd.evaluation import rows
from dopsd.support import paths
from dopsd.world import tokens

ROOT = Path(__file__).parents[1]
STUDY = ROOT / "studies" / "zimage-small"
VISION = {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "num_heads": 16, "out_hidden_size": 2560}
VISION |= {"deepstack_visual_indexes": [5, 11, 17]}
TINY_VISION = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 64}
TINY_VISION |= {"deepstack_visual_indexes": [0]}
VAE = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2}
TINY_VAE = {"block_out_channels": (16, 32, 32, 32), "norm_num_groups": 16}
PATCH = {"patch_size": 16, "merge_size": 2, "temporal_patch_size": 2}
WORDS = 87  # of a prompt: 96 tokens with the template's
CAPTION = " ".join(["[V]", *["word"] * (WORDS - 1)])
PICTURES = 4  # of the concept
CLASS = 2  # that PSO draws


def models(model: str, folder: Path, device: torch.device, dtype: torch.dtype) -> dict[str, str]:
    """Write a pipeline and a VLM with random weights, once -> the folders, as `backbone` names them."""
    tiny = model.startswith("tiny")
    where = Path(random_model(model, folder / "study", device, dtype))
    eye = where.with_name(f"{model}-vlm")
    if not (eye / "tokenizer.json").exists():  # written last
        shape = {"latent_channels": 16, "scaling_factor": 0.3611, "shift_factor": 0.1159}
        text, heads = (TINY_TEXT, [6, 5, 5]) if tiny else (TEXT, [24, 20, 20])
        tokenizer = tokens.build_tokenizer()
        float32 = torch.float32
        made(lambda: AutoencoderKL(**BLOCKS, **(TINY_VAE if tiny else VAE), **shape), device, float32).save_pretrained(
            where / "vae"
        )
        made(lambda: Qwen3Model(Qwen3Config(**text)), device, dtype).save_pretrained(where / "text_encoder")
        tokenizer.save_pretrained(where / "tokenizer")
        turns = {"rope_type": "default", "mrope_section": heads, "mrope_interleaved": True}
        ids = {"image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>"}
        ids |= {"vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>"}
        config = Qwen3VLConfig(
            text_config=text | {"rope_theta": 5e6, "rope_scaling": turns},
            vision_config=TINY_VISION if tiny else VISION,
            tie_word_embeddings=True,
            **{k: tokens.VOCABULARY[v] for k, v in ids.items()},
        )
        made(lambda: Qwen3VLForConditionalGeneration(config), device, dtype).save_pretrained(eye)
        Qwen3VLProcessor(
            image_processor=Qwen2VLImageProcessor(**PATCH),
            tokenizer=tokenizer,
            video_processor=Qwen3VLVideoProcessor(**PATCH),
            chat_template=tokens.CHAT_TEMPLATE,
        ).save_pretrained(eye)
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return {"model": str(where.resolve()), "vlm": str(eye.resolve())}


def pictures(folder: Path, size: int) -> None:
    """Write square pictures of noise, each with a caption."""
    folder.mkdir(parents=True)
    for i in range(PICTURES):
        Image.effect_noise((size, size), 50 + i).convert("RGB").save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text(CAPTION)


def few() -> None:
    """Leave of the prompts that are written in this folder the first of each kind."""
    for file in paths.PROMPTS.glob("*.jsonl"):
        rows.write(list({row.kind: row for row in reversed(rows.read(file))}.values()), file)


def whole(folder: Path = STUDY) -> Params:
    """The study as it ships."""
    with chdir(folder):
        return load()


def cut(run: Path, named: dict[str, str], how: dict[str, Any]) -> None:
    """Write params.yaml and the pictures into a new folder: the study of one concept, cut to what is timed.

    how: model, size, gpus, steps, compiled, device, dtype. Each GPU gets a seed's cells. Nothing is looked for on a hub, and
    nothing is scored."""
    tree = whole().model_dump(mode="json")
    (concept,) = tree["grid"]["concepts"]
    pictures(run / "pictures", how["size"])
    tree["execute"] |= {"jobs": how["gpus"]}
    tree["backbone"] |= named | {"revision": None, "vlm_revision": None, "base": None}
    tree["backbone"] |= {"device": how["device"], "dtype": how["dtype"], "compile_blocks": how["compiled"]}
    about = {"images": str((run / "pictures").resolve()), "name": concept}
    tree["fetch"] |= {"size": how["size"], "hub": {}, "folders": {concept: about}}
    first = tree["grid"]["seeds"][0]
    tree["grid"] |= {"seeds": list(range(first, first + how["gpus"]))}
    tree["train"] |= {"steps": how["steps"], "checkpoints": []}
    tree["methods"]["pso"] |= {"pictures": CLASS}
    tree["prompts"] |= {"source": "captions", "given": [CAPTION], "new": 1, "noises": 1, "ordinary": 8}
    tree["picture_probe"] = None
    (run / "params.yaml").write_text(yaml.safe_dump(tree))
