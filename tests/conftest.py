"""What many tests share: the repository's root, and a tiny random-weight pipeline of the real classes, saved to disk.

What takes seconds to import is imported by the fixtures: the first process of pytest-xdist, which runs no test, needs none.
"""

from __future__ import annotations

import gc
import importlib
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TQDM_DISABLE", "1")

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def pytest_addoption(parser):
    parser.addoption(
        "--record", action="store_true", help="write tests/training/golden/ anew in place of comparing with it"
    )


def pytest_collection_finish():
    """A thread for each process of tests; and what is imported stays, so that collecting garbage, which opening and freeing a
    model asks for, need not go through all of it each time."""
    import torch

    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()


def pytest_unconfigure():
    gc.unfreeze()


@pytest.fixture
def params():
    """The repository's params.yaml, made a study that searches (see `tiny.searching`)."""
    import tiny

    from dopsd.config.params import load
    from dopsd.config.study import StepSize

    found = load(ROOT / "params.yaml")
    grid = found.grid.model_copy(update={"turbos": ()})
    return found.model_copy(update={"grid": grid, "step_size": StepSize.model_validate(tiny.SEARCH)})


@pytest.fixture(scope="session")
def settings():
    """The backbone section with the repository's own models, wherever the test runs."""
    from dopsd.config.params import load

    section = load(ROOT / "params.yaml").backbone
    paths = {"model": str(ROOT / section.model), "vlm": str(ROOT / section.vlm), "device": "cpu"}
    return section.model_copy(update=paths)


@pytest.fixture(scope="session")
def all_settings(settings, tmp_path_factory):
    """A backbone section for the miniature and for tiny random pipelines, opened from disk."""
    import tiny

    from dopsd.config.backbone import Klein, ZImage
    from dopsd.config.backbones import Krea

    folder = tmp_path_factory.mktemp("tiny")
    common = {"revision": None, "device": "cpu", "dtype": "float32", "quantize": "none", "compile_blocks": False}
    zimage = ZImage(
        name="zimage",
        model=str(tiny.zimage(folder / "zimage")),
        vlm=str(tiny.vlm(folder / "vlm")),
        vlm_revision=None,
        student_tokens=512,
        teacher_layer=-2,
        teacher_tokens=1024,
        min_pixels=4096,
        max_pixels=4096,
        **common,
    )
    klein = Klein(
        name="klein",
        model=str(tiny.klein(folder / "klein")),
        student_tokens=96,
        text_layers=(1, 2, 3),
        identity_instruction="{prompt} with the thing of the picture",
        edit_instruction="{prompt} , the picture at the end shows it",
        native_steps=4,
        **common,
    )
    krea = Krea(
        name="krea",
        model=str(tiny.krea(folder / "krea")),
        vlm=str(tiny.vlm(folder / "krea-vlm", tiny.KREA_WORDS)),
        vlm_revision=None,
        student_tokens=512,
        teacher_tokens=1024,
        min_pixels=4096,
        max_pixels=4096,
        **common,
    )
    return {"miniature": settings, "zimage": zimage, "klein": klein, "krea": krea}


@pytest.fixture
def backbone(settings):
    """The miniature, freshly opened: a test may put adapters on it."""
    from dopsd import backbones

    return backbones.load(settings)


@pytest.fixture
def train_settings(params):
    """A short training."""
    return params.train.model_copy(update={"steps": 4, "checkpoints": (2,), "lora_rank": 4, "lora_alpha": 8})


@pytest.fixture(scope="session")
def concept_set(tmp_path_factory):
    """An image-text set of the world with two pictures: its manifest."""
    from dopsd.world.concepts import write_concept_set

    folder = tmp_path_factory.mktemp("beacon")
    write_concept_set("beacon", folder, images=2, seed=0)
    return folder / "data.jsonl"


@pytest.fixture
def items(tmp_path):
    """Two pictures of a person's, in two shapes."""
    from PIL import Image

    from dopsd.sets import folder as own

    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, (colour, size) in enumerate((("red", (80, 60)), ("blue", (64, 64)))):
        Image.new("RGB", size, colour).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text("[V] outdoors")
    return own.read_pictures(folder, "my corgi", 64).items


@pytest.fixture
def benchmark(monkeypatch):
    """A program of benchmarks/ as a module."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module
