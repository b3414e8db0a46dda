"""A study's LoRAs, published: what stands there opens in diffusers and draws what the cells draw; nothing is overwritten."""

import re
import shutil
import subprocess
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import fsspec
import made_up
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from diffusers import ZImagePipeline, ZImageTransformer2DModel
from huggingface_hub import HfApi, HfFileSystem

from dopsd.commands import main as cli
from dopsd.commands import publish as job
from dopsd.config.params import load
from dopsd.report import tables
from dopsd.report.published import Tables, licence, named
from dopsd.study.grid import Cell
from dopsd.study.pipeline import Study
from dopsd.study.sets import write_concept
from dopsd.support import paths
from dopsd.support.errors import UserError
from dopsd.support.files import read_csv, write_csv, write_json
from dopsd.support.remote import Remote

ROOT = Path(__file__).parents[2]
CELLS = [f"{method}/beacon/{seed}" for method in ("sft", "dopsd") for seed in (0, 1)]
SMALL = {
    "execute": {"jobs": 1},
    "grid": {"concepts": ["beacon"]},
    "fetch": {"images": 2},
    "train": {"steps": 1, "checkpoints": [], "batch_size": 1, "lora_rank": 2, "lora_alpha": 8},
    "methods": {"sft": {}, "dopsd": {"loss": "x0", "teacher": "ema", "ema": 0.995, "rollout_steps": 2}},
    "evaluate": {"nfe": [made_up.FEW, made_up.MANY]},
    "step_size": {"given": {"sft": 0.05, "dopsd": 0.05}},
}


def _tables(params) -> None:
    """Made-up scores of trainings of one step, and the true losses."""
    found, kinds = made_up.cells_of(concepts=params.grid.concepts), {"beacon": "object"}
    cells = {key: {min(step, 1): row for step, row in steps.items() if step != 20} for key, steps in found.items()}
    write_csv(tables.comparison(cells, kinds, made_up.FEW), paths.TABLES / "comparison.csv")
    write_csv(tables.summary(cells, "sft"), paths.TABLES / "summary.csv")
    losses = tables.losses(params.grid.trained, params.grid.concepts, params.grid.seeds)
    write_csv(losses, paths.TABLES / "loss.csv")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A study of one concept and two few-step models, in git: trained for a step."""
    folder = tmp_path_factory.mktemp("work") / "study"
    given = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    (folder / "models").mkdir(parents=True)
    (folder / "params.yaml").write_text(
        yaml.safe_dump({k: v | SMALL.get(k, {}) if isinstance(v, dict) else v for k, v in given.items()})
    )
    for model in (ROOT / "models").glob("mini-*"):
        (folder / "models" / model.name).symlink_to(model)
    with chdir(folder):
        params = load()
        write_concept("beacon", params.fetch, paths.concept_set("beacon"))
        write_json({name: {"value": rate} for name, rate in params.step_size.given.items()}, paths.STEP_SIZE)
        study = Study(params)
        for cell in study.trained():  # here: a process of its own would first import everything
            key, (worker, arguments) = study.training(cell, 0.05)
            study.store.put(key, worker(*arguments, "cpu"), device="cpu")
        study.train()
        _tables(params)
        for command in (["init", "-q"], ["add", "params.yaml"], ["commit", "-qm", "a study"]):
            subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *command], check=True)
    shutil.rmtree(folder / "models" / "store")
    return folder


@pytest.fixture
def study(trained, tmp_path, monkeypatch):
    """A copy of it, beside which one works."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(trained, tmp_path / "study", symlinks=True)).relative_to(tmp_path)


def run(monkeypatch, *arguments: str) -> int:
    here = Path.cwd()
    monkeypatch.setattr("sys.argv", ["dopsd", "publish", *arguments])
    try:
        cli.main()
    except SystemExit as stopped:
        return stopped.code
    finally:
        monkeypatch.chdir(here)
    return 0


def files(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def picture(pipeline) -> np.ndarray:
    pipeline.set_progress_bar_config(disable=True)
    noise = torch.Generator().manual_seed(0)
    options = {"num_inference_steps": 4, "guidance_scale": 0.0, "height": 64, "width": 64}
    return pipeline("a [V] on sand", output_type="np", generator=noise, **options).images[0]


@pytest.fixture(scope="module")
def published(trained):
    """The study's LoRAs in a folder of this machine beside it, by the command line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(trained.parent)
        assert run(patch, "study", "--to", "loras") == 0
    return trained.parent / "loras"


def test_every_headline_cell_is_there_with_its_card_and_the_index_lists_it(published):
    each = {"README.md", "pytorch_lora_weights.safetensors", "sealed.json"}
    wanted = {f"{cell}/{name}" for cell in CELLS for name in each}
    wanted |= {f"{cell}/comfyui/{cell.replace('/', '-')}.safetensors" for cell in CELLS}
    assert set(files(published)) == {"README.md", *wanted}
    index = (published / "README.md").read_text()
    head = yaml.safe_load(index.split("---")[1])
    assert head == {
        "license": "apache-2.0",
        "library_name": "diffusers",
        "pipeline_tag": "text-to-image",
        "tags": ["lora", "sft", "dopsd"],
    }
    rows = [line for line in index.splitlines() if line.startswith("| [")]
    assert [re.findall(r"\((.+?)/README.md\)", row) for row in rows] == [[cell] for cell in CELLS]
    assert "| new scenes: concept fidelity | new scenes: blur that the reader reads, pixels |" in index
    assert rows[0].startswith("| [sft/beacon/0](sft/beacon/0/README.md) | 0.540 | 0.540 |")


def test_a_card_says_what_the_training_and_the_tables_say(published, trained):
    card = (published / "dopsd/beacon/1/README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert head["license"] == "apache-2.0" and head["instance_prompt"] == "[V]" and "base_model" not in head
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=trained, capture_output=True, text=True, check=True)
    lines = card.splitlines()
    for line in (
        "| study | `params.yaml` |",
        f"| published at | commit {commit.stdout.strip()} |",
        "| few-step model | `models/mini-turbo`, a folder of that repository |",
        "| its transformer | `models/mini-turbo-2` |",
        "| steps, batch | 1, 1 |",
        "| learning rate | 0.05 |",
        "| model | models/mini-turbo, transformer of models/mini-turbo-2 |",
        "| tuned | lora, rank 2, alpha 8: scale 4, folded into the files |",
        "| ema | 0.995 |",
        "| seed | 1 |",
        "| new scenes: concept fidelity | 0.200 | 0.840 | 0.790 |",
    ):
        assert line in lines, line
    assert "Licence: Apache-2.0." in card and "D-OPSD on 2 pictures of the object" in card
    assert "| model | models/mini-turbo |" in (published / "sft/beacon/0/README.md").read_text().splitlines()


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("../../models/mini-turbo", "apache-2.0"),
        ("Tongyi-MAI/Z-Image-Turbo", "apache-2.0"),
        ("black-forest-labs/FLUX.2-klein-9B", "other"),
        ("someone/else", "other"),
    ],
)
def test_the_licence_is_that_of_the_model_that_was_tuned(model, known):
    assert licence(model) == known


@pytest.mark.parametrize("cell", ["sft/beacon/0", "dopsd/beacon/1"])
def test_the_cards_own_lines_draw_what_the_cell_draws_to_the_bit(published, trained, cell):
    code = re.search(r"```python\n(.+?)```", (published / cell / "README.md").read_text(), re.DOTALL)[1]
    made: dict = {}
    (published / "models").symlink_to(ROOT / "models")  # "beside it", as the card says
    try:
        with chdir(published):
            exec(code, made)
    finally:
        (published / "models").unlink()
    assert made["image"].size == (64, 64)
    own = ZImagePipeline.from_pretrained(ROOT / "models/mini-turbo")
    if cell.endswith("1"):
        own.transformer = ZImageTransformer2DModel.from_pretrained(ROOT / "models/mini-turbo-2/transformer")
    plain = picture(own)
    own.load_lora_weights(trained / "models/lora" / cell / "step-0001")
    expected = picture(own)
    assert np.array_equal(picture(made["pipeline"]), expected) and not np.allclose(expected, plain, atol=0.02)


def test_another_file_system_gets_the_same_bytes_and_the_index_last(published, study, monkeypatch):
    memory, put = fsspec.filesystem("memory"), []
    real = type(memory).put_file
    monkeypatch.setattr(type(memory), "put_file", lambda *a, **k: (put.append(a[2]), real(*a, **k))[1])
    assert run(monkeypatch, "study", "--to", "memory://shelf/loras") == 0
    there = {name.removeprefix("/shelf/loras/"): memory.cat(name) for name in memory.find("/shelf/loras")}
    try:
        assert there == files(published) and put[-1].endswith("/shelf/loras/README.md")
    finally:
        memory.rm("/shelf", recursive=True)


def test_a_repository_of_the_hub_gets_one_commit_and_its_cards_name_it(study, monkeypatch):
    sent = {}
    monkeypatch.setattr(HfFileSystem, "ls", lambda *a, **k: ["USER/REPO/.gitattributes"])
    monkeypatch.setattr(HfApi, "upload_folder", lambda _, **how: sent.update(how, files=files(how["folder_path"])))
    assert run(monkeypatch, "study", "--to", "hf://models/USER/REPO/d", "--methods", "sft") == 0
    assert (sent["repo_id"], sent["repo_type"], sent["path_in_repo"]) == ("USER/REPO", "model", "d")
    assert {name.partition("/")[0] for name in sent["files"]} == {"README.md", "sft"}
    assert (
        'load_lora_weights("USER/REPO", subfolder="d/sft/beacon/0")' in sent["files"]["sft/beacon/0/README.md"].decode()
    )


def no_weights(study):
    shutil.rmtree(study / "models/lora/dopsd/beacon/1/step-0001")


def other_weights(study):
    with (study / "models/lora/sft/beacon/0/step-0001/pytorch_lora_weights.safetensors").open("ab") as file:
        file.write(b"more")


def test_a_folder_elsewhere_is_called_by_its_last_part(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q", str(tmp_path / "study")], check=True)
    for folder in ("study/models/own", "models/Z-Image-Turbo"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "study")
    assert named(str(tmp_path / "study/models/own")) == named("models/own") == "models/own"
    assert named(str(tmp_path / "models/Z-Image-Turbo")) == "Z-Image-Turbo"
    assert named("Tongyi-MAI/Z-Image-Turbo") == "Tongyi-MAI/Z-Image-Turbo"


def test_a_small_loss_is_the_one_that_its_table_rounds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cell = Cell("dopsd", "corgi", 30)
    (folder := paths.adapters(*cell)).mkdir(parents=True)
    losses = pd.DataFrame({"step": [1, 2], "loss": [0.00243861, 1.5e-06], "lr": 1e-4, "grad_norm": [0.1716518, 2e-05]})
    losses.to_csv(folder / "loss.csv", index=False)
    write_csv(losses.assign(method="dopsd", concept="corgi", seed=30), Path("table.csv"))
    told = Tables(pd.DataFrame(), pd.DataFrame(), pd.read_csv("table.csv"), "again")
    told.check(cell)
    other = replace(told, losses=told.losses.assign(loss=told.losses.loss + 1e-5))
    with pytest.raises(UserError, match="other losses"):
        other.check(cell)


def other_losses(study):
    table = read_csv(study / "reports/tables/loss.csv", "loss")
    write_csv(table.assign(loss=table.loss + 1), study / "reports/tables/loss.csv")


def no_tables(study):
    (study / "reports/tables/summary.csv").unlink()


def no_row(study):
    table = read_csv(study / "reports/tables/comparison.csv", "seed")
    write_csv(table[table.seed == 0], study / "reports/tables/comparison.csv")


def of_chains(study):
    (study / "chains.yaml").touch()


def all_weights(study):
    given = yaml.safe_load((study / "params.yaml").read_text())
    given["train"]["tune"] = "full"
    (study / "params.yaml").write_text(yaml.safe_dump(given))


AGAIN = "run `dvc repro study/dvc.yaml`"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            no_weights,
            rf"step-0001/pytorch_lora_weights.safetensors: missing, 1 of 4 LoRAs are; {AGAIN}, or `dvc pull` where",
        ),
        (other_weights, r"step-0001/pytorch_lora_weights.safetensors: damaged"),
        (
            other_losses,
            rf"sft/beacon/0/loss.csv: not the training that reports/tables are of \(other losses\); {AGAIN}",
        ),
        (no_tables, rf"reports/tables/summary.csv: missing: the study is not evaluated; {AGAIN}"),
        (no_row, rf"comparison.csv: no scores of sft/beacon/1 at step 1, 4 NFE; {AGAIN}"),
        (of_chains, r"chains.yaml: a study of chains has no headline of cells"),
        (all_weights, r"--methods sft: trained without a LoRA \(train.tune: full\)"),
    ],
)
def test_what_is_missing_is_said_before_a_network_is_asked(study, monkeypatch, capsys, spoil, says):
    def asked(*_, **__):
        raise AssertionError("a network is asked")

    monkeypatch.setattr(fsspec, "url_to_fs", asked)
    monkeypatch.setattr(HfApi, "upload_folder", asked)
    spoil(study)
    assert run(monkeypatch, "study", "--to", "hf://models/USER/REPO") == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert re.search(says, said), said


@pytest.mark.parametrize(
    ("to", "says"),
    [
        ("mine", r"--to mine: holds files that are not of a run of this \(notes.txt\); name a new folder"),
        (
            "memory://mine",
            r"--to memory://mine: holds files already \(notes.txt\), and nothing is overwritten; name a new",
        ),
        ("study/reports/loras", r"`dvc repro` keeps \S+/study/reports and may remove what is there"),
        ("memry://x", r"--to memry://x: no file system memry://; did you mean 'memory'\?; give a folder"),
        ("s4://bucket/x", r"--to s4://bucket/x: no file system s4://; give a folder, s3://BUCKET"),
        ("s3://", r"--to s3://: names no folder; give"),
        ("gcs://bucket/x", r"--to gcs://bucket/x: Please install gcsfs"),
        ("hf://USER", r"--to hf://USER: Invalid HF URI .* Give hf://models/USER/REPO"),
        ("zip://a::s3://b/c", r"several addresses in one"),
    ],
)
def test_a_place_that_is_none_or_is_taken_is_refused(study, monkeypatch, capsys, to, says):
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("mine")
    (study / "dvc.yaml").touch()
    memory = fsspec.filesystem("memory")
    memory.pipe("/mine/notes.txt", b"mine")
    try:
        assert run(monkeypatch, "study", "--to", to) == 1
        said = capsys.readouterr().err.splitlines()[-1]
        assert re.search(says, said), said
        assert memory.find("/mine") == ["/mine/notes.txt"] and files(Path("mine")) == {"notes.txt": b"mine"}
    finally:
        memory.rm("/mine", recursive=True)


def test_a_copy_that_fails_on_the_way_says_how_far_it_came(tmp_path, monkeypatch):
    memory = fsspec.filesystem("memory")
    real = type(memory).put_file

    def fails(system, file, *rest, **how):
        if file.endswith("b"):
            raise OSError("no more room")
        return real(system, file, *rest, **how)

    monkeypatch.setattr(type(memory), "put_file", fails)
    for name in ("a", "b", "README.md"):
        (tmp_path / name).write_text(name)
    with pytest.raises(UserError, match=r"--to memory://half: no more room; 1 of 3 files are there"):
        Remote.of("memory://half", "--to").put(tmp_path)
    assert memory.find("/half") == ["/half/a"]
    memory.rm("/half", recursive=True)


def test_one_seed_of_each_few_step_model_is_published(params):
    def headline(**grid):
        return [(c.method, c.seed) for c in job.headline(changed(**grid)) if c.concept == "beacon"]

    def changed(**grid):
        return params.model_copy(update={"grid": params.grid.model_copy(update=grid)})

    assert headline(seeds=(3, 4), turbos=()) == [("sft", 3), ("dopsd", 3)]
    assert headline(seeds=(3, 4, 5), turbos=("a", "b", "a")) == [("sft", 3), ("sft", 4), ("dopsd", 3), ("dopsd", 4)]
    with pytest.raises(UserError, match=r"--methods dopsy: not trained in this study; did you mean 'dopsd'\?"):
        job.headline(params, ["dopsy"])
