"""Measuring a tuned model against the untouched one, with tiny instruments of the real classes."""

import json
from dataclasses import replace

import pytest
import tiny
import torch
from PIL import Image

from dopsd import backbones
from dopsd.config.measure import Clip, Measure, Reward, Source
from dopsd.config.params import load_preset
from dopsd.evaluation import against_untouched, drawing, prompt_file
from dopsd.evaluation.prompt_file import NEW, REWRITE, Asked
from dopsd.sets import folder as own
from dopsd.support.errors import UserError
from dopsd.training.weights import begin

ALL = {"dino_distance", "lpips_distance", "clip_image", "clip_score", "judge", "reward"}
SETS = {"kernel_distance", "frechet_distance"}


@pytest.fixture
def items(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, (colour, size) in enumerate((("red", (80, 60)), ("blue", (64, 64)))):
        Image.new("RGB", size, colour).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text("[V] outdoors")
    return own.read_pictures(folder, "my corgi", 64)


def preset_of(kind, all_settings, tmp_path, **instruments):
    given = load_preset("zimage" if kind == "zimage" else "klein-4b", ["tune.size=64", "tune.nfe=2"])
    nothing = dict.fromkeys(("writer", "dino", "lpips", "clip", "judge", "reward"))
    settings = Measure(new_prompts=2, seed=5, ordinary="everyday", ordinary_prompts=8, **(nothing | instruments))
    return given.model_copy(update={"backbone": all_settings[kind], "measure": settings})


@pytest.fixture
def instruments(tmp_path):
    weights, architecture = tiny.reward(tmp_path / "reward")
    return {
        "dino": Source(model=str(tiny.dino(tmp_path / "dino", 3)), revision=None),
        "lpips": Source(model=str(tiny.vgg(tmp_path / "vgg")), revision=None),
        "clip": Clip(model=str(tiny.clip(tmp_path / "clip")), revision=None, tokenizer="open_clip", text=True),
        "judge": Source(model=str(tiny.vlm(tmp_path / "judge")), revision=None),
        "reward": Reward(model=str(weights), revision=None, file="reward.pt", architecture=architecture),
    }


def lora(preset, folder):
    """A random LoRA for a preset's backbone, with an effect."""
    backbone = backbones.load(preset.backbone)
    settings = preset.train.model_copy(update={"lora_rank": 4, "lora_alpha": 8.0})
    weights = begin(backbone, settings, 0)
    for p in weights.parameters:
        p.data += 0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(len(p)))
    weights.save(folder)
    return folder


@pytest.mark.parametrize("kind", ["zimage", "klein"])
def test_every_instrument_scores_both_models(kind, items, instruments, all_settings, tmp_path):
    preset = preset_of(kind, all_settings, tmp_path, **instruments)
    scores = against_untouched.measure(preset, items, tmp_path, lora(preset, tmp_path / "lora"))
    assert set(scores) == ALL | SETS
    for name, s in scores.items():
        assert s["difference"]["value"] == pytest.approx(s["tuned"]["value"] - s["untouched"]["value"], abs=1e-3), name
        assert s["better"] in ("lower", "higher") and s["says"]
    assert any(abs(s["difference"]["value"]) > 1e-4 for s in scores.values())  # the LoRA is seen
    assert scores["lpips_distance"]["tuned"]["n"] == 2 and scores["kernel_distance"]["tuned"]["n"] == 8
    kept = json.loads((tmp_path / "measured.json").read_text())
    assert kept["features"] == "dino" and kept["instruments"]["dino"]["model"] == str(tmp_path / "dino")
    assert kept["scores"] == scores and kept["prompts"] == 6 and kept["nfe"] == 2


def test_untouched_weights_differ_in_nothing(items, instruments, all_settings, tmp_path):
    preset = preset_of("zimage", all_settings, tmp_path, clip=instruments["clip"])
    backbone = backbones.load(preset.backbone)
    begin(backbone, preset.train.model_copy(update={"lora_rank": 4, "lora_alpha": 8.0}), 0).save(tmp_path / "lora")
    scores = against_untouched.measure(preset, items, tmp_path, tmp_path / "lora")
    assert set(scores) == {"clip_image", "clip_score"} | SETS  # null leaves an instrument out, nothing else does
    assert all(s["difference"]["value"] == pytest.approx(0, abs=1e-4) for s in scores.values())


def test_prompts_that_are_there_are_used(items, all_settings, tmp_path, instruments):
    mine = [
        Asked(0, "0.png", REWRITE, "[V] on grass"),
        Asked(1, "1.png", NEW, "[V] at sea"),
        Asked(1, "1.png", NEW, "[V] at night"),
    ]
    prompt_file.save(mine, tmp_path / "prompts.jsonl")
    preset = preset_of("zimage", all_settings, tmp_path, writer=instruments["judge"])
    assert against_untouched.prepare(preset, items, tmp_path)[1] == mine


def test_a_writer_that_writes_nonsense_is_an_error(items, all_settings, tmp_path, instruments):
    preset = preset_of("zimage", all_settings, tmp_path, writer=instruments["judge"])
    with pytest.raises(UserError, match=r"0.png: the VLM wrote 0 prompts with \[V\]"):
        against_untouched.prepare(preset, items, tmp_path)


def test_sets_that_cannot_be_measured_say_so(items, all_settings, tmp_path):
    preset = preset_of("klein", all_settings, tmp_path)
    with pytest.raises(UserError, match=r"no caption names \[V\].*--no-measure"):
        against_untouched.prepare(preset, [replace(i, captions={"short_en": "a corgi"}) for i in items], tmp_path)
    with pytest.raises(UserError, match=r"an editing set .* --no-measure"):
        against_untouched.prepare(preset, [replace(i, inputs=(items[0].file,)) for i in items], tmp_path)


def test_pictures_of_several_sizes_are_drawn_each_from_its_noise(items, all_settings, tmp_path):
    preset = preset_of("zimage", all_settings, tmp_path)
    backbone = backbones.load(preset.backbone)
    asked = prompt_file.without_vlm(items, ("[V] in snow",), 1)
    artist = against_untouched.Artist(backbone, preset.measure, 2, 64, asked, items)
    together = artist.concept()
    assert [tuple(x.shape[1:]) for x in together] == [items[a.picture].size for a in asked]
    for k in (0, 3):
        alone = drawing.draw(backbone, [artist.contexts[k]], artist.noise[k][None], 2, 1)[0]
        assert torch.equal(alone, together[k])


def test_seeds_are_those_of_the_release(items, all_settings, tmp_path):
    preset = preset_of("zimage", all_settings, tmp_path)
    backbone = backbones.load(preset.backbone)
    asked = prompt_file.without_vlm(items, ("[V] in snow", "[V] at sea"), 2)
    noise = against_untouched.concept_noise(backbone, asked, items, 5)
    shape = backbone.latent_shape(*items[1].size)
    assert torch.equal(noise[5], torch.randn(*shape, generator=torch.Generator().manual_seed(5 + 100 * 1 + 2)))


def test_a_missing_instrument_stops_before_anything_is_drawn(items, all_settings, tmp_path):
    preset = preset_of("zimage", all_settings, tmp_path, dino=Source(model="nobody/nothing", revision=None))
    with pytest.raises(UserError, match=r"nobody/nothing: cannot fetch the dino's model.*hf auth login"):
        against_untouched.prepare(preset, items, tmp_path)


def test_lists_of_ordinary_prompts(tmp_path):
    assert len(against_untouched.ordinary_prompts("everyday", 48)) == 48
    assert not any(
        "[V]" in text for name in ("everyday", "world") for text in against_untouched.ordinary_prompts(name, 48)
    )
    (tmp_path / "mine.txt").write_text("a house\n\na tree\n")
    assert against_untouched.ordinary_prompts(str(tmp_path / "mine.txt"), 2) == ["a house", "a tree"]
    with pytest.raises(UserError, match="has 2 prompts, fewer"):
        against_untouched.ordinary_prompts(str(tmp_path / "mine.txt"), 3)
    with pytest.raises(UserError, match="no such list"):
        against_untouched.ordinary_prompts("nothing", 3)
