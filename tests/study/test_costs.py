"""What a study of a large model costs, from timed steps and a table of sizes, before anything of it is here."""

import json
from pathlib import Path

import pictured
import pytest
import yaml

from dopsd.config.params import load
from dopsd.study import costs
from dopsd.study.pipeline import Study

STUDIES = pictured.ROOT / "studies"
STEP = "dopsd+compiled+graphs"


@pytest.fixture
def ahead(tmp_path, monkeypatch):
    """A shipped study of a real model, in a folder where nothing of it has run, with an empty cache of the hub."""
    monkeypatch.setattr(costs, "cached", dict)

    def opened(name: str) -> Study:
        monkeypatch.chdir(STUDIES / name)
        params = load()
        monkeypatch.chdir(tmp_path)
        return Study(params)

    return opened


@pytest.mark.parametrize(("name", "file"), [("zimage", "h100-zimage-1024.json"), ("klein", "h200-klein-4b-1024.json")])
def test_hours_come_from_a_timed_step_of_the_models_size(ahead, name, file):
    study = ahead(name)
    params = study.params
    rows, found = {(r.stage, r.method): r for r in costs.ahead(study)}, costs.timed(params)
    timed = json.loads((pictured.ROOT / "benchmarks/results" / file).read_text())
    (step,) = (r for r in timed["rows"] if r["form"] == STEP)
    assert found and found.form == STEP and found.peak == step["peak_gib"] and found.device == timed["device"]
    cells, pictures, train = 6 * 2, 4, params.train
    assert rows["train", "dopsd"].cells == cells
    hours = rows["train", "dopsd"].forwards / found.speeds["train"] / 3600
    assert hours == pytest.approx(cells * train.steps * train.batch_size * step["seconds"] / 3600)
    new, rewritten = pictures * params.prompts.new * params.prompts.noises, pictures * params.prompts.noises
    drawn = len(train.kept) * (new + params.prompts.ordinary) + rewritten
    assert rows["draw", "dopsd"].forwards == cells * drawn * params.evaluate.few
    assert rows["draw", "teacher"].cells == 6  # whatever the seed, the same prompts
    text = costs.hours(list(rows.values()), found)
    assert file in text and timed["device"] in text


def test_a_step_with_prompts_as_long_as_the_model_pads_them_goes_before_a_shorter_one(ahead):
    params = ahead("klein").params
    off = params.backbone.model_copy(update={"compile_blocks": False})
    train = params.train.model_copy(update={"gradient_checkpointing": True})
    found = costs.timed(params.model_copy(update={"backbone": off, "train": train}))
    assert found and (found.form, found.file.name) == ("dopsd+checkpointed", "h200-klein-4b-1024-fp8.json")


def test_disk_is_counted_from_the_models_sizes(ahead):
    study = ahead("zimage")
    taken, kept = costs.disk(study) or {}, len(study.params.train.kept)
    weights = 64 * 2480640  # rank, inputs and outputs of the adapted layers
    assert taken["dopsd"] > 3 * 12 * kept * 4 * weights / 2**30 > taken["untouched"] > 0
    full = study.params.train.model_copy(update={"tune": "full"})
    assert costs.weights_a_checkpoint(study.params, full) == 6154908736


def test_sizes_of_a_local_model_are_its_files(tmp_path, monkeypatch):
    tree = pictured.params("zimage", tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(tree))
    params = load()
    assert costs.weights_a_checkpoint(params, params.train) and costs.timed(params) is None
    told = costs.downloads(params)
    assert set(told["known from"]) == {"a local folder"} and costs.to_fetch(params) == 0
    shown = costs.by_method(Study(params), costs.ahead(Study(params)), None)
    assert shown["GPU-hours, train"].eq("not measured").all() and list(shown.trainings)[-1] == 2


def test_a_folder_with_the_models_weights_is_timed_as_the_model(ahead, monkeypatch):
    params = ahead("zimage-small").params
    local = params.model_copy(update={"backbone": params.backbone.model_copy(update={"model": "/models/turbo"})})
    assert costs.timed(local) is None
    monkeypatch.setattr(costs.plan, "weights_of", lambda _: {"all": [6154908736]})
    assert costs.timed(local) == costs.timed(params)


def test_methods_that_may_hold_more_than_was_timed_are_named(ahead):
    params = ahead("zimage-small").params
    found = costs.timed(params)
    assert found and costs.memory(found, params).endswith("may hold more: pso")
    alone = params.model_copy(update={"grid": params.grid.model_copy(update={"trained": ("sft", "dopsd")})})
    assert "more than" not in costs.memory(found, alone)


def test_every_model_of_the_shipped_studies_has_a_size_with_a_source(ahead):
    for name in ("zimage", "klein", "zimage-small"):
        params = ahead(name).params
        told = costs.downloads(params)
        assert set(told.model) <= set(costs.sizes()) and told["known from"].str.len().min() > 10
        assert costs.to_fetch(params) == pytest.approx(told.GB.astype(float).sum())
    assert "Tongyi-MAI/Z-Image" not in set(told.model)  # the small one draws no base


def test_a_model_of_unknown_size_is_named_beside_the_sum(ahead):
    assert costs.fetching(ahead("krea").params).endswith(" GB, and krea/Krea-2-Turbo, whose size is not known")
    assert costs.fetching(ahead("zimage").params).endswith(" GB")


def test_models_in_the_cache_are_told_by_their_files(ahead, monkeypatch):
    params, turbo = ahead("zimage").params, "Tongyi-MAI/Z-Image-Turbo"
    every = costs.to_fetch(params)
    monkeypatch.setattr(costs, "cached", lambda: {turbo: 32_000_000_000})
    told = costs.downloads(params).set_index("model")
    assert told.GB[turbo] == "32.0" and "cache" in told["known from"][turbo]
    assert costs.to_fetch(params) == pytest.approx(every - costs.sizes()[turbo].gb)
