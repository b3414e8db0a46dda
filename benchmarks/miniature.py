"""What the miniature costs on this machine: a forward of the generator, and every part of its recipe.

    python benchmarks/miniature.py

A part's seconds a step are the difference of two short runs at the batch size of params.yaml, so that drawing the scenes and
starting cancel; the hours are that times the steps of params.yaml. Uncompiled, whatever `compiled` says.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import torch
import typer
from diffusers import ZImageTransformer2DModel

from dopsd.config.params import load_recipe
from dopsd.mini.generator import Field
from dopsd.mini.recipe import PARTS


def forward(batch: int, repeats: int = 5) -> float:
    """Seconds of one forward of the shipped generator on a batch, the median of a few."""
    model = ZImageTransformer2DModel.from_pretrained("models/mini-turbo/transformer", torch_dtype=torch.float32).eval()
    field = Field(model)
    x, t = torch.randn(batch, 8, 16, 16), torch.full((batch,), 0.5)
    caption = torch.randn(batch, 32, 128), torch.ones(batch, 32, dtype=torch.bool)
    seconds = []
    with torch.no_grad():
        for _ in range(repeats + 1):
            begun = time.perf_counter()
            field(x, t, caption)
            seconds.append(time.perf_counter() - begun)
    return sorted(seconds[1:])[repeats // 2]


def part_seconds(part: str, steps: int, folder: Path) -> float:
    """Seconds of a part of the recipe with so many steps on few scenes, in a folder with a copy of the models."""
    recipe = load_recipe()
    settings = getattr(recipe, part)
    few = {
        "steps": steps,
        "minutes": None,
        "scenes": 2 * settings.batch_size,
        "captions": 1,
        "compiled": False,
        "panel_steps": 2,
        "reading_after": 0,
    }
    settings = settings.model_copy(update={k: v for k, v in few.items() if hasattr(settings, k)})
    begun = time.perf_counter()
    PARTS[part](settings, recipe.seed, folder / "models", folder / f"work-{steps}")
    return time.perf_counter() - begun


def main() -> None:
    """Print the table."""
    print(f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}")
    print(f"forward of the generator, batch 64: {forward(64):.2f} s\n")
    print("| part | steps | batch | seconds a step | hours |\n|---|---|---|---|---|", flush=True)
    total = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for model in Path("models").glob("mini-*"):
            shutil.copytree(model, Path(folder, "models", model.name))
        for name in PARTS:
            settings = getattr(load_recipe(), name)
            short, long = (part_seconds(name, steps, Path(folder)) for steps in (1, 3))
            step = (long - short) / 2
            hours = step * settings.steps / 3600
            total += hours
            print(f"| {name} | {settings.steps} | {settings.batch_size} | {step:.2f} | {hours:.1f} |", flush=True)
    print(f"| all | | | | {total:.1f} |")


if __name__ == "__main__":
    typer.run(main)
