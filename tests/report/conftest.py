"""A small grid of made-up cells, written where the pipeline would write them."""

import json
from types import SimpleNamespace

import pytest
import torch
from made_up import CONCEPTS, FEW, MANY, METHODS, SEEDS, TRAINED, cells_of
from PIL import Image

from dopsd.config.study import Compared
from dopsd.evaluation import by_world, rows
from dopsd.evaluation.sheets import Sheet, keep
from dopsd.support import paths


@pytest.fixture
def cells():
    return cells_of()


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A working directory with sets, prompts, sheets and losses of the made-up grid: red training pictures, and tile k of a
    sheet is grey, 10 k bright."""
    monkeypatch.chdir(tmp_path)
    grey = [torch.full((3, 64, 64), 20 * k / 255 - 1) for k in range(16)]
    for concept in CONCEPTS:
        folder = paths.concept_set(concept) / "target_images"
        folder.mkdir(parents=True)
        for i in range(4):
            Image.new("RGB", (64, 64), "red").save(folder / f"{i:02d}.png")
        line = {"class_name": concept, "local_path_list": [f"target_images/{i:02d}.png" for i in range(4)]}
        (folder.parent / "data.jsonl").write_text(json.dumps(line | {"h*w": "64*64", "short_en": "[V]"}) + "\n")
        known = torch.zeros(0, 9, dtype=torch.long)
        asked = [r for s in SEEDS for r in by_world.for_concept(concept, 8, 2, s, known, 0.5)]
        rows.write(asked, paths.prompts(concept))
        for seed in SEEDS:
            for method in METHODS:
                sheet = Sheet(40 if method in TRAINED else 0, rows.NEW, FEW)
                keep(grey, paths.samples(method, concept, seed), sheet, rows.of_kind(asked, rows.NEW, seed))
            for method in TRAINED:
                folder = paths.adapters(method, concept, seed)
                folder.mkdir(parents=True)
                lines = [f"{i},{1 / (i + 1)},0.0001,0.5" for i in range(5)]
                (folder / "loss.csv").write_text("\n".join(["step,loss,lr,grad_norm", *lines]) + "\n")
    rows.write([], paths.prompts(paths.ORDINARY))
    paths.PROBE_SHEET.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64 * 3, 64 * 5), "blue").save(paths.PROBE_SHEET)
    grid = SimpleNamespace(methods=METHODS, trained=TRAINED, concepts=CONCEPTS, seeds=SEEDS)
    return SimpleNamespace(
        grid=grid,
        kinds={"beacon": "object", "fresco": "style"},
        evaluate=SimpleNamespace(few=FEW, many=MANY, guidance=1.5),
        fetch=SimpleNamespace(size=64),
        compare=Compared(method="dopsd", baseline="sft"),
        step_size=SimpleNamespace(fidelity="concept_fidelity"),
        picture_probe=None,
    )
