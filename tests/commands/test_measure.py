"""Measuring a tuned model beside the untouched one, with tiny instruments of the real classes."""

import json
from dataclasses import replace

import pandas as pd
import pytest
import tiny

from dopsd import backbones
from dopsd.commands import measure as job
from dopsd.config.params import load_preset
from dopsd.config.preset import Preset
from dopsd.config.study import Prompts
from dopsd.evaluation import rows
from dopsd.evaluation.rows import NEW, ORDINARY, REFERENCE, REWRITE
from dopsd.support.errors import UserError
from dopsd.training.weights import begin

ALL = {"dino_distance", "lpips_distance", "clip_image", "clip_score (rewrite)", "clip_score (new)", "judge"}
ALL |= {"reward (rewrite)", "reward (new)"}
SETS = {"retention_kid", "retention_frechet"}


def preset_of(kind, all_settings, instruments, **prompts) -> Preset:
    given = load_preset("zimage" if kind == "zimage" else "klein-4b", ["tune.size=64", "tune.nfe=2", "train.steps=4"])
    asked = {"source": "captions", "given": ("[V] in snow", "[V] at sea"), "new": 2, "seed": 5, "ordinary": 8} | prompts
    update = {"backbone": all_settings[kind], "prompts": Prompts(**asked), "instruments": instruments}
    return given.model_copy(update=update)


@pytest.fixture
def instruments(tmp_path):
    weights, architecture = tiny.reward(tmp_path / "reward")
    return {
        "dino": {"model": str(tiny.dino(tmp_path / "dino", 3))},
        "lpips": {"model": str(tiny.vgg(tmp_path / "vgg"))},
        "clip": {"model": str(tiny.clip(tmp_path / "clip"))},
        "judge": {"model": str(tiny.vlm(tmp_path / "judge")), "dtype": "float32", "max_pixels": 4096},
        "reward": {"model": str(weights), "file": "reward.pt", "architecture": architecture},
        "frechet": {"features": "dino"},
        "kid": {"features": "dino"},
    }


@pytest.mark.parametrize("kind", ["zimage", "klein"])
def test_every_instrument_scores_both_models(kind, items, instruments, all_settings, tmp_path):
    preset = preset_of(kind, all_settings, instruments)
    out = tmp_path / "out"
    scores = job.measure(preset, items, out, tiny.lora(preset, tmp_path / "lora"))
    assert set(scores) == ALL | SETS
    for name, s in scores.items():
        assert s["difference"]["value"] == pytest.approx(s["tuned"]["value"] - s["untouched"]["value"], abs=1e-3), name
        assert s["better"] in ("lower", "higher") and s["says"]
    assert any(abs(s["difference"]["value"]) > 1e-4 for s in scores.values())  # the LoRA is seen
    assert scores["lpips_distance"]["tuned"]["n"] == 2 and scores["retention_kid"]["tuned"]["n"] == 8
    assert scores["clip_image"]["tuned"]["n"] == 2  # four pictures of two training pictures' prompts
    kept = json.loads((out / "measured.json").read_text())
    assert kept["instruments"]["dino"]["model"] == str(tmp_path / "dino") and kept["nfe"] == 2
    assert kept["scores"] == scores and kept["prompts"] == {"rewrite": 2, "new": 4, "ordinary": 8}
    table = pd.read_parquet(out / "scores.parquet")
    assert set(table.step) == {0, 4} and set(table.kind) == {REWRITE, NEW, ORDINARY}
    assert {f.name for f in (tmp_path / "out" / "pictures").iterdir()} == {"step-0000", "step-0004"}


def test_untouched_weights_differ_in_nothing(items, instruments, all_settings, tmp_path):
    only = {"clip": instruments["clip"], "dino": None, "kid": {"features": "clip"}}
    preset = preset_of("zimage", all_settings, only)
    backbone = backbones.load(preset.backbone)
    begin(backbone, preset.train.model_copy(update={"lora_rank": 4, "lora_alpha": 8.0}), 0).save(tmp_path / "lora")
    scores = job.measure(preset, items, tmp_path, tmp_path / "lora")
    # null leaves an instrument out, nothing else does
    assert set(scores) == {"clip_image", "clip_score (rewrite)", "clip_score (new)", "retention_kid"}
    assert all(s["difference"]["value"] == pytest.approx(0, abs=1e-4) for s in scores.values())


def test_prompts_that_are_there_are_used(items, all_settings, tmp_path, instruments):
    preset = preset_of("zimage", all_settings, {"clip": instruments["clip"]})
    written = job.prepare(preset, items, tmp_path)
    mine = [r.model_copy(update={"text": "[V] on grass"}) if r.kind == REWRITE else r for r in written]
    rows.write(mine, tmp_path / "prompts.jsonl")
    vlm = {"source": "vlm", "writer": {"model": str(tmp_path / "judge")}}
    assert job.prepare(preset_of("zimage", all_settings, {"clip": instruments["clip"]}, **vlm), items, tmp_path) == mine


def test_a_writer_that_writes_nonsense_is_an_error(items, all_settings, tmp_path, instruments):
    vlm = {"source": "vlm", "writer": {"model": instruments["judge"]["model"]}}
    preset = preset_of("zimage", all_settings, {"clip": instruments["clip"]}, **vlm)
    with pytest.raises(UserError, match=r"0.png: the VLM wrote 0 prompts with \[V\]"):
        job.prepare(preset, items, tmp_path)


def test_sets_that_cannot_be_measured_say_so(items, all_settings, tmp_path, instruments):
    preset = preset_of("klein", all_settings, {"clip": instruments["clip"]})
    with pytest.raises(UserError, match=r"no caption names \[V\].*--no-measure"):
        job.prepare(preset, [replace(i, captions={"short_en": "a corgi"}) for i in items], tmp_path)
    with pytest.raises(UserError, match=r"prompts\.source world: pictures have no world"):
        job.prepare(preset_of("klein", all_settings, {}, source="world"), items, tmp_path)


def test_an_instrument_that_these_pictures_cannot_serve_is_said_before_anything_is_drawn(items, all_settings, tmp_path):
    with pytest.raises(UserError, match=r"instruments\.reader: it needs prompts that the world made"):
        job.prepare(preset_of("zimage", all_settings, {"reader": {"model": "models/mini-reader"}}), items, tmp_path)


def test_an_edit_is_measured_by_its_result(items, all_settings, tmp_path, instruments):
    """Input picture and instruction, and the picture that should come out."""
    edits = [replace(i, captions={"short_en": "make it red"}, inputs=(items[1].file,)) for i in items]
    preset = preset_of("klein", all_settings, {k: instruments[k] for k in ("dino", "lpips", "kid")})
    scores = job.measure(preset, edits, tmp_path, tiny.lora(preset, tmp_path / "lora"))
    assert set(scores) == {"dino_distance", "lpips_distance", "retention_kid"}
    assert scores["lpips_distance"]["tuned"]["n"] == 2
    asked = rows.read(tmp_path / "prompts.jsonl")
    assert {r.kind for r in asked} == {REWRITE, ORDINARY, REFERENCE}


def test_pictures_of_another_set_are_noticed(items, all_settings, tmp_path, instruments):
    preset = preset_of("zimage", all_settings, {"clip": instruments["clip"]})
    job.prepare(preset, items, tmp_path)
    with pytest.raises(UserError, match=r"picture 0\.png@[0-9a-f]{8} is not in the set; delete the file"):
        job.prepare(preset, items[1:], tmp_path)


def test_a_missing_instrument_stops_before_anything_is_drawn(items, all_settings, tmp_path):
    preset = preset_of("zimage", all_settings, {"dino": {"model": "nobody/nothing"}})
    with pytest.raises(UserError, match=r"nobody/nothing: cannot fetch the dino's model.*hf auth login"):
        job.prepare(preset, items, tmp_path)
