"""Studies of other models than the miniature, as folders: from fetch to report, offline, on tiny random weights."""

import json
import shutil

import pandas as pd
import pytest
import tiny as models
import yaml
from PIL import Image
from studies import ROOT, Said, Study

STAGES = ["keys", "fetch", "prompts", "probe", "step_size", "train", "draw", "evaluate", "report"]
EXTENDS = {"zimage": "zimage", "klein": "klein-4b"}


@pytest.fixture
def pictures(tmp_path):
    """A folder of pictures of two shapes, with captions beside them."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, (colour, size) in enumerate((("red", (80, 60)), ("blue", (64, 64)))):
        Image.new("RGB", size, colour).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text("[V] outdoors\n[V] in the sun")
    return folder


def params(kind, folder, pictures) -> dict:
    """The shipped study's, with everything tiny."""
    tree = yaml.safe_load((ROOT / "studies" / "zimage" / "params.yaml").read_text(encoding="utf-8"))
    backbone = {"model": str(getattr(models, kind)(folder / "model")), "revision": None, "device": "cpu"}
    backbone |= {"dtype": "float32"}
    if kind == "zimage":
        backbone |= {"vlm": str(models.vlm(folder / "vlm")), "vlm_revision": None}
        backbone |= {"min_pixels": 4096, "max_pixels": 4096}
    else:
        backbone |= {"text_layers": [1, 2, 3], "student_tokens": 96}
    dino, vgg, clip = models.dino(folder / "dino", 3), models.vgg(folder / "vgg"), models.clip(folder / "clip")
    return tree | {
        "extends": EXTENDS[kind],
        "backbone": backbone,
        "fetch": {"size": 64, "folders": {"corgi": {"images": str(pictures), "name": "corgi"}}},
        "grid": tree["grid"] | {"concepts": ["corgi"], "seeds": [0, 1]},
        "train": {"steps": 2, "checkpoints": [1], "batch_size": 2, "accumulation": 1, "lora_rank": 2, "lora_alpha": 2},
        "prompts": {"source": "captions", "given": ["[V] in snow", "[V] at sea"], "new": 2, "ordinary": 8},
        "instruments": {
            "dino": {"model": str(dino)},
            "lpips": {"model": str(vgg)},
            "clip": {"model": str(clip)},
            "frechet": {"features": "dino"},
            "kid": {"features": "dino"},
        },
        "picture_probe": tree["picture_probe"] | {"nfe": [2]},
        "evaluate": {"nfe": [2], "batch_size": 2},
    }


@pytest.fixture
def repository(tmp_path):
    """The code and the shipped study of a real model, without the miniature."""
    folder = tmp_path / "repository"
    for name in ("src", "studies", ".dvcignore", ".gitignore", ".dvc/.gitignore", ".dvc/config"):
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    study = Study(folder, tmp_path / "site")
    study.git("init", "-q", "-b", "main")
    return study


@pytest.mark.parametrize("kind", ["zimage", "klein"])
def test_a_study_of_a_folder_of_pictures_from_fetch_to_report(repository, pictures, tmp_path, kind):
    folder = repository.folder / "studies" / "zimage"
    (tmp_path / "weights").mkdir()
    tree = params(kind, tmp_path / "weights", pictures)
    (folder / "params.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    said = Said(repository.run("dvc", "repro", "studies/zimage/dvc.yaml"))
    assert sorted(said.stages) == sorted(STAGES), said.text
    # the untouched model answers the same prompts whatever the seed of a training, so its cells are made once: 7, not 10
    assert said.ran == {"train": 4, "draw": 7, "evaluate": 8}, said.text

    table = pd.read_parquet(folder / "samples" / "scores.parquet")
    assert set(table.method) == {"untouched", "described", "sft", "dopsd"} and set(table.concept) == {"corgi"}
    assert {"dino_distance", "lpips_distance", "clip_image", "clip_score", "retention_frechet"} <= set(table.score)
    assert set(table[table.method == "sft"].step) == {1, 2} and not table.value.isna().any()
    report = (folder / "reports" / "REPORT.md").read_text(encoding="utf-8")
    assert "**Random weights" in report[:400] and "| dino distance" in report and "MINIATURE" not in report
    assert "nfe.png" not in report and "Nothing is asked" in report and "The gap between" not in report
    assert "how near what it draws comes to that" in report and "| lpips_distance" in report
    probe = json.loads((folder / "reports" / "metrics" / "probe.json").read_text())
    ((_, by_nfe),) = probe.items()
    assert set(by_nfe["2"]) == {"text", "image_text", "wrong_image_text", "image"}
    assert set(by_nfe["2"]["image_text"]) == {"dino_distance", "lpips_distance", "clip_score"}
    with Image.open(folder / "reports" / "pictures" / "probe.png") as sheet:
        assert sheet.size == (2 * 64, 5 * 64)
    assert (folder / "reports" / "figures" / "comparison.png").stat().st_size > 5000
    assert json.loads((folder / "reports" / "summary.json").read_text())["dopsd"]
    rows = [json.loads(x) for x in (folder / "data" / "prompts" / "corgi.jsonl").read_text().splitlines()]
    assert len({(r["height"], r["width"]) for r in rows}) == 2 and {r["kind"] for r in rows} == {"rewrite", "new"}

    assert Said(repository.run("dvc", "repro", "studies/zimage/dvc.yaml")).stages == []
    planned = repository.answer("dopsd", "plan", "studies/zimage")
    cells = [[c.strip() for c in x.split("|")[1:-1]] for x in planned.splitlines() if x.startswith("| ")]
    assert {tuple(c[:5]) for c in cells} >= {("train", m, "2", "2", "0") for m in ("sft", "dopsd")}, planned
    assert "disk: " in planned
    tree["grid"]["seeds"] = [0, 1, 2]
    (folder / "params.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    planned = repository.answer("dopsd", "plan", "studies/zimage")
    cells = [[c.strip() for c in x.split("|")[1:-1]] for x in planned.splitlines() if x.startswith("| ")]
    assert {tuple(c[:5]) for c in cells} >= {("train", m, "3", "2", "1") for m in ("sft", "dopsd")}, planned
    said = Said(repository.run("dvc", "repro", "studies/zimage/dvc.yaml"))
    assert said.ran["train"] == 2, said.text  # the third seed's
