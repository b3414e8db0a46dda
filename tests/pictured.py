"""The shipped studies of real models with everything tiny: two folders of pictures, random weights of the real classes."""

from __future__ import annotations

from pathlib import Path

import tiny
import yaml
from PIL import Image

ROOT = Path(__file__).parents[1]
CONCEPTS = {"corgi": ("red", "green"), "teapot": ("blue", "black")}  # the colours of their pictures


def pictures(folder: Path) -> dict[str, dict]:
    """Write a folder a concept, of pictures of two shapes with captions beside them -> `fetch.folders`."""
    for name, colours in CONCEPTS.items():
        (folder / name).mkdir(parents=True)
        for colour, size in zip(colours, ((80, 60), (64, 64)), strict=True):
            Image.new("RGB", size, colour).save(folder / name / f"{colour}.png")
            (folder / name / f"{colour}.txt").write_text("[V] outdoors\n[V] in the sun")
    return {name: {"images": str(folder / name), "name": name} for name in CONCEPTS}


def params(kind: str, folder: Path) -> dict:
    """params.yaml of studies/<kind> (zimage, klein, krea), with a model, an eye and instruments written to a folder."""
    tree = yaml.safe_load((ROOT / "studies" / kind / "params.yaml").read_text(encoding="utf-8"))
    made, words, at = getattr(tiny, kind), tiny.KREA_WORDS if kind == "krea" else (), folder / "instruments"
    eye, clip = str(tiny.vlm(folder / "vlm", words)), str(tiny.clip(at / "clip"))
    backbone = {"model": str(made(folder / "model")), "revision": None, "device": "cpu", "dtype": "float32"}
    if kind == "klein":
        backbone |= {"text_layers": [1, 2, 3], "student_tokens": 96}
    else:
        backbone |= {"vlm": eye, "vlm_revision": None, "min_pixels": 4096, "max_pixels": 4096}
    references = ["untouched", "described"]
    if kind != "krea":
        backbone |= {"base": str(made(folder / "base", 1))}
        references = ["untouched", "teacher", "base", "again"]
    few = {"pictures": 2, "rollout_steps": 2}
    methods = {"dreambooth": few, "pso": few, **{m: {"rollout_steps": 2} for m in ("dopsd", "off_policy")}}
    return tree | {
        "execute": {"jobs": 1},
        "backbone": backbone,
        "fetch": {"size": 64, "folders": pictures(folder / "pictures")},
        "grid": tree["grid"] | {"references": references, "concepts": list(CONCEPTS), "seeds": [0]},
        "train": {"steps": 2, "checkpoints": [], "batch_size": 2, "accumulation": 1, "lora_rank": 2, "lora_alpha": 2},
        "methods": {m: how for m, how in methods.items() if m in tree["grid"]["trained"]},
        "prompts": {"source": "captions", "given": ["[V] in snow"], "new": 1, "noises": 2, "ordinary": 8},
        "instruments": {
            "dino": {"model": str(tiny.dino(at / "dino", 3))},
            "lpips": {"model": str(tiny.vgg(at / "vgg"))},
            "clip": {"model": clip},
            "reward": {"model": clip, "file": "open_clip_model.safetensors", "architecture": f"local-dir:{clip}"},
            "judge": {"model": eye, "revision": None, "dtype": "float32", "max_pixels": 4096},
            "frechet": {"features": "dino"},
            "kid": {"features": "dino"},
        },
        "picture_probe": tree["picture_probe"] | {"nfe": [2]},
        "evaluate": {"nfe": [2], "batch_size": 2},
    }
