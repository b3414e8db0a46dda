"""Folders of tuned weights, and sets of pictures."""

from __future__ import annotations

import io
import json

import torch
from PIL import Image
from safetensors.torch import save
from survive.cases import Content, cases, flat

LORA = "l/pytorch_lora_weights.safetensors"
LAYER = "transformer.layers.0.attention.to_q"
META = {"format": "pt", "lora_adapter_metadata": json.dumps({"transformer.r": 2, "transformer.lora_alpha": 2})}


def lora(layer: str = LAYER, width: int = 32, value: float = 0.1) -> bytes:
    """A LoRA's file for one layer."""
    a, b = torch.full((2, width), value), torch.full((width, 2), value)
    return save({f"{layer}.lora_A.weight": a, f"{layer}.lora_B.weight": b}, META)


def drawn(content: bytes, *says: str, preset: str = "zimage.yaml", **more) -> tuple:
    run = ("draw", "a star", "--backbone", preset, "--lora", "l", "--size", "32", "--pictures", "1")
    return run, (LORA, *says), {"files": {LORA: content}} | more


def exported(content: bytes, *says: str, **more) -> tuple:
    run = tuple("export l --out e --name x --backbone zimage.yaml".split())
    return run, (LORA, *says), {"files": {LORA: content}} | more


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(file, "PNG")
    return file.getvalue()


ROW = {"class_name": "thing", "local_path_list": ["a.png"], "h*w": "64*64", "short_en": "a [V] at left"}


def tuned(says: tuple[str, ...], **files: Content) -> tuple:
    """`dopsd tune` on a folder with a picture and some files; "__" stands for the dot in their names."""
    inside = {f"set/{name.replace('__', '.')}": content for name, content in files.items()}
    run = ("tune", "--images", "set", "--name", "thing", "--backbone", "mini.yaml", "--steps", "1", "--no-measure")
    return run, says, {"files": {"set/a.png": picture()} | inside}


def row(**changes) -> str:
    return json.dumps(ROW | changes)


CASES = flat(
    [
        cases(
            "a LoRA's file that cannot be read",
            drawn(b""),
            drawn(b"x" * 500),
            drawn(lora()[:-20]),
            drawn(b"\xff" * 16),
        ),
        cases(
            "a LoRA of another model",
            drawn(lora("transformer.transformer_blocks.0.attn.to_q")),
            drawn(lora(width=64)),
            drawn(lora("unet.down.0.to_q")),
            drawn(lora("transformer.single_transformer_blocks.9.attn.to_q"), preset="klein.yaml"),
            drawn(save({"weight": torch.zeros(3)})),
        ),
        cases("a LoRA's numbers", drawn(lora(value=float("nan"))), drawn(lora(value=float("inf")))),
        cases(
            "a checkpoint that is exported",
            exported(b"x" * 50),
            exported(b""),
            exported(save({"w": torch.zeros(2)}), "no name of a LoRA"),
        ),
        cases(
            "the release's manifest",
            tuned(("set/data.jsonl:1", "not JSON"), data__jsonl="{"),
            tuned(("set/data.jsonl:1", "h*w"), data__jsonl=row(**{"h*w": "64x64"})),
            tuned(("set/data.jsonl:1", "local_path_list", "b.png"), data__jsonl=row(local_path_list=["b.png"])),
            tuned(("set/data.jsonl:1", "leads out"), data__jsonl=row(local_path_list=["../mini.yaml"])),
            tuned(("set/data.jsonl", "UTF-8"), data__jsonl=b"\xff"),
        ),
        cases(
            "metadata.jsonl",
            tuned(("set/metadata.jsonl:1", "not JSON"), metadata__jsonl="nope"),
            tuned(("set/metadata.jsonl:1", "file_name"), metadata__jsonl='{"text": "a"}'),
            tuned(("set/metadata.jsonl:1", "b.png"), metadata__jsonl='{"file_name": "b.png", "text": "a"}'),
            tuned(("set/metadata.jsonl", "UTF-8"), metadata__jsonl=b"\xff\n"),
            tuned(("set/metadata.jsonl:1",), metadata__jsonl='{"file_name": "a.png", "file_name": "a.png"}'),
        ),
        cases(
            "captions beside pictures",
            tuned(("set/a.txt", "empty"), a__txt=" \n"),
            tuned(("set/a.txt", "UTF-8"), a__txt=b"caf\xe9"),
            tuned(("no word for corgi",), a__txt="a corgi"),
        ),
    ]
)
