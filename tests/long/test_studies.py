"""Studies of other models than the miniature, as folders: from fetch to report, offline, on tiny random weights."""

import json
import shutil

import pandas as pd
import pictured
import pytest
import yaml
from studies import ROOT, Said, Study
from typer.testing import CliRunner

from dopsd.commands import main as cli

STAGES = ["keys", "fetch", "prompts", "probe", "step_size", "train", "draw", "evaluate", "report"]
TABLE_1 = ("untouched", "sft", "base_lora", "dreambooth", "pso", "dopsd")
SCORES = {"dino_distance", "lpips_distance", "clip_image", "clip_score", "judge", "reward", "retention_kid"}


@pytest.fixture
def repository(tmp_path):
    """The code and the shipped studies of real models, without the miniature."""
    folder = tmp_path / "repository"
    for name in ("src", "studies", "benchmarks/results", ".dvcignore", ".gitignore", ".dvc/.gitignore", ".dvc/config"):
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    study = Study(folder, tmp_path / "site")
    study.git("init", "-q", "-b", "main")
    return study


@pytest.fixture
def shipped(repository, tmp_path):
    """A shipped study with everything tiny: its folder in the repository, and its params.yaml."""

    def make(name: str):
        folder, tree = repository.folder / "studies" / name, pictured.params(name, tmp_path)
        (folder / "params.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
        return folder, tree

    return make


@pytest.mark.parametrize("kind", ["zimage", "klein"])
def test_table_1_from_a_folder_of_pictures_to_the_report(repository, shipped, kind, monkeypatch):
    folder, tree = shipped(kind)
    name, trained = f"studies/{folder.name}", tree["grid"]["trained"]
    repository.commit()  # the claims, before their numbers
    said = Said(repository.run("dvc", "repro", f"{name}/dvc.yaml"))
    assert sorted(said.stages) == sorted(STAGES), said.text
    # three of ten rows know no concept, and draw ordinary prompts once for all
    assert said.ran == {"train": 2 * 6, "draw": 2 * 10 + 3, "evaluate": 2 * 10}, said.text
    assert said.stages.index("probe") < said.stages.index(
        "step_size"
    )  # what cannot be looked at is said before a training

    table = pd.read_parquet(folder / "samples" / "scores.parquet")
    assert set(table.method) == {*tree["grid"]["references"], *trained}
    assert set(table.score) >= SCORES and not table.value.isna().any()
    assert set(table[table.method == "sft"].step) == {2}
    every = [json.loads(x) for x in (folder / "data" / "prompts" / "corgi.jsonl").read_text().splitlines()]
    assert len({(r["height"], r["width"]) for r in every}) == 1  # pictures of the class need one shape

    report = (folder / "reports" / "REPORT.md").read_text(encoding="utf-8")
    assert "**Random weights" in report[:400] and "MINIATURE" not in report and "Nothing is asked" not in report
    beside = pd.read_csv(folder / "reports" / "tables" / "reported.csv")
    assert set(beside.row) == set(TABLE_1) and set(beside.score) == {"DINO-D", "LPIPS-D", "VLM-J", "CLIP-S", "Quality"}
    assert not beside.isna().any().any()  # each with its interval, over two concepts
    assert "(Table 1)" in report and "DINO-D here: DINOv2" in report
    records = json.loads((folder / "reports" / "claims.json").read_text())
    unmeasured = {r["id"] for r in records if r["verdict"] == "not measured"}
    assert len(records) == 20 and unmeasured <= {"teacher-predicts"}  # two concepts have no correlation
    assert all(len(r["claims_commit"]) == 40 for r in records)
    floor = pd.read_csv(folder / "reports" / "tables" / "floor.csv")
    drawn = floor[floor.score == "reward"]
    assert set(drawn.method) == {*TABLE_1, "off_policy", "teacher", "base", "again"} - {"sft"}
    assert set(drawn.generation_seeds) == {2} and drawn.floor.gt(0).all() and "## The seed floor" in report
    assert (folder / "reports" / "figures" / "comparison.png").stat().st_size > 5000

    assert Said(repository.run("dvc", "repro", f"{name}/dvc.yaml")).stages == []
    tree["grid"]["seeds"] = [0, 1]
    (folder / "params.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    monkeypatch.chdir(repository.folder)
    planned = CliRunner().invoke(cli.app, ["plan", name]).output
    assert cells(planned) >= {("train", m, "4", "2", "2") for m in trained}, planned


def test_two_methods_on_krea_from_a_folder_of_pictures_to_the_report(repository, shipped):
    folder, tree = shipped("krea")
    repository.commit()
    said = Said(repository.run("dvc", "repro", "studies/krea/dvc.yaml"))
    assert sorted(said.stages) == sorted(STAGES), said.text
    # an untouched row knows no concept, and draws ordinary prompts once for all
    assert said.ran == {"train": 2 * 2, "draw": 2 * 4 + 1, "evaluate": 2 * 4}, said.text

    table = pd.read_parquet(folder / "samples" / "scores.parquet")
    assert set(table.method) == {*tree["grid"]["references"], *tree["grid"]["trained"]}
    assert set(table.score) >= SCORES and not table.value.isna().any()
    assert set(table[table.method == "dopsd"].step) == {2}
    probe = pd.read_csv(folder / "reports" / "tables" / "probe.csv").pivot(
        index="score", columns="context", values="value"
    )
    assert set(probe) == set(tree["picture_probe"]["contexts"]) and not probe.isna().any().any()
    assert (probe.image_text != probe.wrong_image_text).all()  # the encoder's eye sees which picture it is
    report = (folder / "reports" / "REPORT.md").read_text(encoding="utf-8")
    assert "**Random weights" in report[:400] and "MINIATURE" not in report
    assert (folder / "reports" / "figures" / "comparison.png").stat().st_size > 5000
    assert Said(repository.run("dvc", "repro", "studies/krea/dvc.yaml")).stages == []


def cells(planned: str) -> set[tuple[str, ...]]:
    """The first five columns of a plan's rows."""
    rows = [[c.strip() for c in x.split("|")[1:-1]] for x in planned.splitlines() if x.startswith("| ")]
    return {tuple(c[:5]) for c in rows}
