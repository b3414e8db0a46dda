"""Every stage through its command line, two steps on a tiny grid, in a folder of its own."""

import json
import runpy
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import tiny
import yaml
from PIL import Image

from dopsd.evaluation import probe
from dopsd.evaluation.probe import targets
from dopsd.method.flow import step_grid
from dopsd.mini import autoencoder, drawer, name_bars, observers, quality
from dopsd.report import grids
from dopsd.report.page import numbers_table
from dopsd.world.scenes import sample_scenes

ROOT = Path(__file__).parents[1]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
TINY = tiny.STUDY | {
    "methods": {"dopsd": {"loss": "x0", "teacher": "ema", "ema": 0.9, "rollout_steps": 2}},
    "probe": {"nfe": [1, 2], "layers": [-1, -2], "images": 24, "table_images": 24},
}
RECIPE = {
    "steps": 2,
    "batch_size": 8,
    "scenes": 64,
    "captions": 1,
    "compiled": False,
    "panel_steps": 2,
    "reading_after": 0,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working directory with a tiny params.yaml and the shipped models."""
    folder = tmp_path_factory.mktemp("repository")
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for section, values in TINY.items():
        params[section] |= values
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    recipe = yaml.safe_load((ROOT / "miniature" / "params.yaml").read_text(encoding="utf-8"))
    for part in recipe["recipe"].values():
        if isinstance(part, dict):
            part |= {k: v for k, v in RECIPE.items() if k in part}
    (folder / "miniature").mkdir()
    (folder / "miniature" / "params.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    (folder / "models").mkdir()
    for name in ("docs", "notebooks"):
        (folder / name).symlink_to(ROOT / name)
    for model in (ROOT / "models").glob("mini-*"):
        (folder / "models" / model.name).symlink_to(model)
    return folder


@pytest.fixture
def stage(folder, monkeypatch, capsys):
    """Run a stage by its command line, in this process (the imports take longer than two steps): its output, or, of one that
    must fail, what it says last."""
    monkeypatch.chdir(folder)

    def run(module: str, *arguments: str, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", [module, *arguments])
        ended = 0
        try:
            runpy.run_module(module, run_name="__main__")
        except SystemExit as done:
            ended = done.code or 0
        said = capsys.readouterr()
        assert ended == code, said.err
        return said.err.strip().splitlines()[-1] if code else said.out

    return run


@pytest.fixture
def quick(monkeypatch):
    """What no setting makes small: targets, the miniature's sheet, renders and many steps, figures, how a WebP is packed."""
    monkeypatch.setattr(probe, "targets", lambda n, *a: targets(min(n, 12), *a))
    monkeypatch.setattr(name_bars, "COLUMNS", 2)
    monkeypatch.setattr(quality, "sample_scenes", lambda n, *a, **k: sample_scenes(min(n, 32), *a, **k))
    monkeypatch.setattr(drawer, "flow", SimpleNamespace(step_grid=lambda s, steps: step_grid(s, min(steps, 4))))
    monkeypatch.setattr(grids, "DPI", 50)
    save = Image.Image.save

    def saved(image, file, format=None, **how):
        save(image, file, format, **how | ({"method": 0} if format == "WEBP" else {}))

    monkeypatch.setattr(Image.Image, "save", saved)


def test_the_comparison_from_fetch_to_report(folder, stage, quick):
    stage("dopsd.stages.keys")
    assert {f.stem for f in (folder / "reports/keys").iterdir()} == set(STAGES) - {"keys"}
    assert stage("dopsd.stages.train", code=1).startswith(
        "error: reports/metrics/step_size.json: missing; run `dvc repro`"
    )
    stage("dopsd.stages.fetch")
    assert (folder / "data/concepts/medal/data.jsonl").exists()
    stage("dopsd.stages.prompts")
    assert (folder / "data/prompts/medal.jsonl").exists() and (folder / "data/prompts/ordinary.jsonl").exists()
    stage("dopsd.stages.step_size")
    stage("dopsd.stages.probe")
    assert stage("dopsd.stages.draw", code=1).startswith("error: models/lora/sft/beacon/0: the adapter is missing")
    for name, cells in (("train", 4), ("draw", 10), ("evaluate", 10)):
        assert f"{name}: {cells} cells, 0 kept, {cells} to run" in stage(f"dopsd.stages.{name}")
        assert f"{name}: {cells} cells, {cells} kept, 0 to run" in stage(f"dopsd.stages.{name}")
    assert not list((folder / "models/store/work").iterdir())
    stage("dopsd.stages.miniature")
    shown = stage("dopsd.stages.report")
    assert "reports/REPORT.md" in shown and "concept fidelity" in shown
    headline = json.loads((folder / "reports/summary.json").read_text())
    assert set(headline) == {"untouched", "described", "base", "sft", "dopsd", "at equal fidelity", "probe"}
    assert 15 <= sum(len(numbers) for numbers in headline.values()) <= 25
    assert "All cells ran on: cpu" in (folder / "reports/REPORT.md").read_text(encoding="utf-8")

    for file in (folder / "reports/metrics").rglob("*.json"):
        found = [number for _, number in numbers_table(json.loads(file.read_text()))]
        assert found and all(set(n) == {"value", "low", "high", "n"} for n in found), file
    table = pd.read_csv(folder / "reports/tables/comparison.csv")
    assert set(table.method) == {"untouched", "described", "base", "sft", "dopsd"}
    assert set(table[table.method == "sft"].step) == {1, 2} and set(table[table.method == "untouched"].step) == {0}
    probed = json.loads((folder / "reports/metrics/probe.json").read_text())
    assert set(probed) == {"mini-vlm", "mini-vlm-plain"} and set(probed["mini-vlm"]) == {"1", "2"}
    assert set(probed["mini-vlm"]["1"]) == {"text", "image_text", "wrong_image_text", "image"}
    assert "turbo in 4 steps" in (folder / "reports/MINIATURE.md").read_text(encoding="utf-8")
    of_the_miniature = ("prompts-said-1", "prompts-said-0.15", "names", "recipe")
    for figure in ("comparison", "fidelity_retention", "nfe", "loss", "probe", *of_the_miniature):
        assert (folder / f"reports/figures/{figure}.png").stat().st_size > 5000
    stage("dopsd.stages.page")
    shown = (folder / "reports/index.html").read_text(encoding="utf-8")
    assert shown.rstrip().endswith("</html>") and shown.count("<img") > 20


@pytest.mark.parametrize(
    "parts",
    [
        ("reader", "clip"),
        ("encoder", "vision", "align", "align_plain"),
        ("autoencoder",),
        ("encoder", "base", "turbo", "turbo_2"),
    ],
    ids="-".join,
)
def test_the_recipe_part_by_part(stage, tmp_path, parts, monkeypatch):
    for module in (observers, autoencoder):  # they end on thousands of renders, whose spread they keep
        monkeypatch.setattr(module, "sample_scenes", lambda n, *a, **k: sample_scenes(min(n, 64), *a, **k))
    (tmp_path / "mini-turbo").mkdir()
    for name, maker in (("text_encoder", "encoder"), ("tokenizer", "encoder"), ("vae", "autoencoder")):
        if maker not in parts:  # of the shipped model, where a part needs what others make
            shutil.copytree(ROOT / "models" / "mini-turbo" / name, tmp_path / "mini-turbo" / name)
    for part in parts:
        stage("dopsd.stages.recipe", part, "--models", str(tmp_path), "--work", str(tmp_path / "work"))
    if "turbo" in parts:
        from diffusers import ZImagePipeline, ZImageTransformer2DModel

        other = ZImageTransformer2DModel.from_pretrained(tmp_path / "mini-turbo-2" / "transformer")
        pipeline = ZImagePipeline.from_pretrained(tmp_path / "mini-turbo", transformer=other)
        pipeline.set_progress_bar_config(disable=True)
        picture = pipeline("a red disc", height=64, width=64, num_inference_steps=2, guidance_scale=0.0).images[0]
        assert picture.size == (64, 64)


def test_a_part_of_the_recipe_whose_inputs_are_missing_says_so(stage, tmp_path):
    where = ("--models", str(tmp_path), "--work", str(tmp_path))
    said = stage("dopsd.stages.recipe", "align", *where, code=1)
    assert said.startswith("error: ") and said.endswith("run the recipe's earlier parts first (see dvc.yaml)")
    assert stage("dopsd.stages.recipe", "engine", code=1).startswith("error: unknown part 'engine'; known: reader")
