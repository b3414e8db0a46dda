"""A small grid of made-up cells, written where the pipeline would write them."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from dopsd.report.tables import ORDINARY, SCENES
from dopsd.support import paths

METHODS, TRAINED, CONCEPTS, SEEDS = (
    ["untouched", "described", "sft", "dopsd"],
    ["sft", "dopsd"],
    ["beacon", "fresco"],
    [0, 1],
)


def number(value: float) -> dict:
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 8}


def made_up(method: str, concept: str, seed: int) -> dict:
    """sft scores .5 + seed / 10 on everything, dopsd .2 more, the untouched ones .1; more at later steps."""
    level = {"sft": 0.5, "dopsd": 0.7}.get(method, 0.1) + seed / 10
    quality = ("quality_frechet", "quality_adherence", "quality_sharpness")

    def at(step: int, nfe: list[int]) -> dict:
        ordinary = {str(n): {k: number(level + n / 1000) for k in (*ORDINARY, *quality)} for n in nfe}
        gap = {"frechet": number(level), "sharpness": number(level)}
        scenes = {"4": {k: number(level + step / 1000) for k in SCENES}}
        return {"scenes": scenes, "ordinary": ordinary, "few_step_gap": gap}

    last = [4, 32, *([1] if seed == 0 else [])]
    steps = {"0": at(0, last)} if method not in TRAINED else {"20": at(20, [4]), "40": at(40, last)}
    return {"steps": steps}


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A working directory with cells, sheets, sets and losses of the made-up grid."""
    monkeypatch.chdir(tmp_path)
    tile = Image.new("RGB", (64, 64), "red")
    for concept in CONCEPTS:
        folder = paths.concept_set(concept) / "target_images"
        folder.mkdir(parents=True)
        for i in range(4):
            tile.save(folder / f"{i:02d}.png")
        for seed in SEEDS:
            for method in METHODS:
                folder = paths.samples(method, concept, seed)
                folder.mkdir(parents=True)
                numbers = np.arange(16, dtype=np.uint8).reshape(2, 8, 1).repeat(64, 0).repeat(64, 1).repeat(3, 2)
                file = paths.sheet_file(folder, 40 if method in TRAINED else 0, "scenes", 4)
                file.parent.mkdir()
                Image.fromarray(numbers * 10).save(file)
            for method in TRAINED:
                folder = paths.adapters(method, concept, seed)
                folder.mkdir(parents=True)
                rows = [f"{i},{1 / (i + 1)},0.0001,0.5" for i in range(5)]
                (folder / "loss.csv").write_text("\n".join(["step,loss,lr,grad_norm", *rows]) + "\n")
        for method in METHODS:
            file = paths.cells(method, concept)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({str(seed): made_up(method, concept, seed) for seed in SEEDS}))
    paths.PROBE_SHEET.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64 * 3, 64 * 5), "blue").save(paths.PROBE_SHEET)
    grid = SimpleNamespace(methods=METHODS, trained=TRAINED, concepts=CONCEPTS, seeds=SEEDS)
    return SimpleNamespace(grid=grid, kinds={"beacon": "object", "fresco": "style"})
