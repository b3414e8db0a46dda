"""A small grid of made-up cells, written where the pipeline would write them."""

import json
from pathlib import Path

import pytest
import torch
from made_up import CONCEPTS, METHODS, SEEDS, TRAINED, cells_of
from pages import PAGE, Read
from PIL import Image

from dopsd.config.params import load
from dopsd.evaluation import by_world, rows
from dopsd.evaluation.sheets import Sheet, keep
from dopsd.report import names
from dopsd.study import grid as cells_of_study
from dopsd.support import paths

FULL = Path(__file__).parents[2] / "studies" / "full" / "params.yaml"


@pytest.fixture
def cells():
    return cells_of()


@pytest.fixture(scope="session")
def shipped():
    """The committed page, read."""
    return Read(PAGE.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def full():
    """The settings of the full study."""
    return load(FULL)


@pytest.fixture
def called(full):
    """Rows are called as the full study calls them."""
    with names.called_as_in(cells_of_study.methods(full)):
        yield


@pytest.fixture
def study(full):
    """The settings of the made-up grid; otherwise the full study's. Its parts may be changed by name."""

    def made(**grid):
        references = tuple(m for m in METHODS if m not in TRAINED)
        known = {
            "references": references,
            "trained": tuple(TRAINED),
            "concepts": tuple(CONCEPTS),
            "seeds": tuple(SEEDS),
        }
        train = full.train.model_copy(update={"checkpoints": (20,)})
        changed = full.grid.model_copy(update=known | {"turbos": ()} | grid)
        return full.model_copy(update={"grid": changed, "train": train})

    return made


@pytest.fixture
def write(tmp_path, monkeypatch):
    """A working directory, and a function that writes sets, prompts, sheets and losses of a study into it: red training
    pictures, and tile k of a sheet is grey, 10 k bright."""
    monkeypatch.chdir(tmp_path)
    grey = [torch.full((3, 64, 64), 20 * k / 255 - 1) for k in range(16)]

    def written(params):
        few, many, guidance = params.evaluate.few, params.evaluate.many, params.evaluate.guidance
        asked = {}
        for concept in params.grid.concepts:
            folder = paths.concept_set(concept) / "target_images"
            folder.mkdir(parents=True)
            for i in range(4):
                Image.new("RGB", (64, 64), "red").save(folder / f"{i:02d}.png")
            line = {"class_name": concept, "local_path_list": [f"target_images/{i:02d}.png" for i in range(4)]}
            line |= {"h*w": "64*64", "short_en": "[V]", "medium_en": "a longer [V]"}
            (folder.parent / "data.jsonl").write_text(json.dumps(line) + "\n")
            known = torch.zeros(0, 9, dtype=torch.long)
            asked[concept] = [r for s in SEEDS for r in by_world.for_concept(concept, 8, 2, s, known, 0.5)]
            rows.write(asked[concept], paths.prompts(concept))
        for method, concept, seed in cells_of_study.scored(params.grid):
            wanted, step = rows.of_kind(asked[concept], rows.NEW, seed), 40 if method in params.grid.trained else 0
            for sheet in (Sheet(step, rows.NEW, few), Sheet(step, rows.NEW, many, guidance)):
                keep(grey, paths.samples(method, concept, seed), sheet, wanted)
        for cell in cells_of_study.trained(params.grid):
            folder = paths.adapters(*cell)
            folder.mkdir(parents=True)
            lines = [f"{i},{1 / (i + 1)},0.0001,0.5" for i in range(5)]
            (folder / "loss.csv").write_text("\n".join(["step,loss,lr,grad_norm", *lines]) + "\n")
        rows.write([], paths.prompts(paths.ORDINARY))
        paths.PROBE_SHEET.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64 * 3, 64 * 5), "blue").save(paths.PROBE_SHEET)
        return params

    return written


@pytest.fixture
def repository(study, write):
    """The made-up grid, written."""
    return write(study())
