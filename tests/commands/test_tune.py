"""`dopsd tune`, from a folder of pictures to files that other tools open."""

import os
import re
import signal
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from dopsd import backbones
from dopsd.commands import main as cli
from dopsd.commands import tune as job
from dopsd.config.params import load_preset
from dopsd.evaluation import drawing
from dopsd.sets import folder as own
from dopsd.support.errors import UserError
from dopsd.support.files import read_json
from dopsd.training.loop import Training
from dopsd.training.stop import Stopped
from dopsd.training.weights import put

CORGI = Path(__file__).parents[3] / "shared" / "data" / "corgi"
SHORT = ["train.steps=4", "train.checkpoints=[2]", "train.lora_rank=4", "train.lora_alpha=8", "tune.size=64"]
SHORT += [f"instruments.{k}=null" for k in ("dino", "lpips", "clip", "judge", "reward", "frechet", "kid")]
SHORT += ["train.batch_size=2", "train.accumulation=2", "methods.dopsd.rollout_steps=2", "tune.nfe=2"]
SHORT += ["prompts.source=captions", "prompts.ordinary=8"]
PRESET = {"zimage": "zimage", "klein": "klein-4b", "krea": "krea", "miniature": "mini-turbo"}


@pytest.fixture
def preset(all_settings):
    """A shipped preset with the weights of a test's own models."""

    def make(kind: str, *changes: str):
        given = load_preset(PRESET[kind], [*SHORT, *changes])
        return given.model_copy(update={"backbone": all_settings[kind]})

    return make


@pytest.fixture
def pictures(tmp_path):
    """The release's corgi set where it is at hand, else two pictures with captions."""
    if CORGI.exists():
        return own.read_pictures(CORGI, "my corgi", 64).items
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, colour in enumerate(("red", "blue")):
        Image.new("RGB", (80, 60), colour).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text("[V] outdoors\n[V] on grass")
    return own.read_pictures(folder, "my corgi", 64).items


COMFY = {  # ComfyUI's own names of the layers that its loader maps a key to (comfy/utils.py), for each of ours
    "zimage": {
        "attention.to_q": "attention.qkv",
        "attention.to_k": "attention.qkv",
        "attention.to_v": "attention.qkv",
        "attention.to_out.0": "attention.out",
        "feed_forward.w1": "feed_forward.w1",
        "feed_forward.w2": "feed_forward.w2",
        "feed_forward.w3": "feed_forward.w3",
    },
    "klein": {
        "attn.to_q": "img_attn.qkv",
        "attn.to_k": "img_attn.qkv",
        "attn.to_v": "img_attn.qkv",
        "attn.to_out.0": "img_attn.proj",
        "attn.add_q_proj": "txt_attn.qkv",
        "attn.add_k_proj": "txt_attn.qkv",
        "attn.add_v_proj": "txt_attn.qkv",
        "attn.to_add_out": "txt_attn.proj",
        "ff.linear_in": "img_mlp.0",
        "ff.linear_out": "img_mlp.2",
        "ff_context.linear_in": "txt_mlp.0",
        "ff_context.linear_out": "txt_mlp.2",
        "attn.to_qkv_mlp_proj": "linear1",
    },
    "krea": {
        "attn.to_q": "attn.wq",
        "attn.to_k": "attn.wk",
        "attn.to_v": "attn.wv",
        "attn.to_gate": "attn.gate",
        "attn.to_out.0": "attn.wo",
        "ff.gate": "mlp.gate",
        "ff.up": "mlp.up",
        "ff.down": "mlp.down",
    },
}
BLOCKS = {
    "zimage": ("diffusion_model.", ("layers", "noise_refiner", "context_refiner")),
    "klein": ("transformer.", ("transformer_blocks", "single_transformer_blocks")),
    "krea": (
        "diffusion_model.",
        ("transformer_blocks", "text_fusion.layerwise_blocks", "text_fusion.refiner_blocks"),
    ),
}


@pytest.mark.parametrize("kind", ["zimage", "klein", "krea"])
@pytest.mark.parametrize("method", ["dopsd", "sft"])
def test_a_lora_that_diffusers_loads_and_draws_with(kind, method, preset, pictures, tmp_path):
    given = preset(kind, f"tune.method={method}", "tune.learning_rate=0.1")
    out = job.tune(given, pictures, "my corgi", tmp_path / "out")
    names = {str(f.relative_to(out)) for f in out.rglob("*") if f.is_file()}
    assert names >= {
        "README.md", "gallery.png", "pytorch_lora_weights.safetensors", "comfyui/my-corgi.safetensors", "preset.yaml",
        "checkpoints/loss.csv", "previews/step-00000.png", "previews/step-00004.png",
    }  # fmt: skip
    card = (out / "README.md").read_text()
    assert "**Random weights" in card and {"dopsd": "on-policy", "sft": "supervised"}[method] in card
    # peft, in our roll-out
    model = backbones.load(given.backbone)
    context, shape = model.context(["[V] in the snow"]), model.latent_shape(64, 64)
    noise = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    untouched = drawing.draw(model, context, noise, 4, 1)
    put(model, out / "checkpoints" / "step-0004")
    trained = drawing.draw(model, context, noise, 4, 1)
    put(model, out)
    assert not torch.allclose(untouched, trained, atol=0.02)
    assert torch.allclose(drawing.draw(model, context, noise, 4, 1), trained, atol=0.01)  # a byte's rounding
    # diffusers, as its users call it: strength 1.0
    pipeline = model.pipeline.from_pretrained(given.backbone.model, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_lora_weights(out)
    options = {"num_inference_steps": 4, "guidance_scale": 0.0, "latents": noise, "height": 64, "width": 64}
    if kind == "klein":
        options |= {"max_sequence_length": 96, "text_encoder_out_layers": (1, 2, 3)}
    if kind == "krea":
        options["latents"] = noise.flatten(2).transpose(1, 2)
    theirs = pipeline(prompt="[V] in the snow", output_type="pt", **options).images * 2 - 1
    assert torch.allclose(theirs, trained, atol=0.02)
    # ComfyUI: every key is one that its loader knows, and the change is the same
    ours, comfy = (
        load_file(out / "pytorch_lora_weights.safetensors"),
        load_file(out / "comfyui" / "my-corgi.safetensors"),
    )
    assert len(ours) == len(comfy)
    prefix, blocks = BLOCKS[kind]
    for key, value in comfy.items():
        block, layer = re.fullmatch(rf"{prefix}([a-z_.]+)\.\d+\.(.+)\.lora_[AB]\.weight", key).groups()
        assert block in blocks and layer in COMFY[kind], key
        assert torch.allclose(value.float(), ours["transformer." + key.removeprefix(prefix)], rtol=0.01, atol=1e-3)


def test_alpha_is_folded_into_the_exported_weights(preset, pictures, tmp_path):
    out = job.tune(preset("zimage"), pictures, "my corgi", tmp_path / "out", measured=False)
    from dopsd.commands.export import read

    trained, before = read(out / "checkpoints" / "step-0004")
    exported, after = read(out)
    assert (before["r"], before["lora_alpha"]) == (4, 8) and (after["r"], after["lora_alpha"]) == (4, 4)
    for key in trained:
        assert torch.allclose(exported[key], trained[key] * (2 if "lora_B" in key else 1))


def test_the_miniature_learns_a_concept_from_rendered_pictures(preset, tmp_path):
    from dopsd.evaluation import by_world
    from dopsd.evaluation.fidelity import concept_fidelity
    from dopsd.evaluation.instruments.reader import load_reader
    from dopsd.world.concepts import load_training, write_concept_set

    root = Path(__file__).parents[2]
    write_concept_set("beacon", tmp_path / "beacon", images=4, seed=0)
    items = own.read_pictures(tmp_path / "beacon", "beacon", 64).items
    half = ["train.steps=20", "tune.learning_rate=0.002"]  # as many steps, twice as large
    given = load_preset("mini-turbo", ["prompts.ordinary=8", *half]).model_copy(
        update={"backbone": preset("miniature").backbone}
    )
    out = job.tune(given, items, "beacon", tmp_path / "out")
    training, reader = load_training(tmp_path / "beacon"), load_reader(root / "models" / "mini-reader")
    rows = by_world.for_concept("beacon", 8, 2, 0, training.attributes, 1.0)
    model = backbones.load(given.backbone)
    asked, wanted = drawing.Asked.of(model, rows), by_world.scenes_of(rows).attributes

    def fidelity() -> float:
        read = reader.read(torch.stack(asked.drawn(model, 4, 0.0, 16)))
        return float(concept_fidelity(read, wanted, training.concept.attributes).mean())

    before = fidelity()
    put(model, out)
    assert fidelity() > before + 0.2
    scores = read_json(out / "measured.json")["scores"]
    assert set(scores) == {"clip_i", "copying", "retention_kid", "retention_frechet"}
    assert scores["clip_i"]["difference"]["value"] > 0
    assert f"{scores['clip_i']['tuned']['value']:.4f}" in (out / "README.md").read_text()


def test_full_fine_tuning_of_a_persons_pictures(preset, pictures, tmp_path):
    out = job.tune(preset("zimage", "train.tune=full"), pictures, "my corgi", tmp_path / "out")
    assert (out / "checkpoints" / "step-0004" / "transformer" / "config.json").exists()
    assert not (out / "pytorch_lora_weights.safetensors").exists()


def test_ctrl_c_saves_and_the_same_call_goes_on(preset, pictures, tmp_path, monkeypatch):
    whole = job.tune(preset("zimage"), pictures, "my corgi", tmp_path / "whole", measured=False)
    advance = Training.advance

    def interrupted(self, parts):
        if self.step == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return advance(self, parts)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "advance", interrupted)
        with pytest.raises(Stopped, match="stopped after step 2 of 4; the same command goes on"):
            job.tune(preset("zimage"), pictures, "my corgi", tmp_path / "out", measured=False)
    out = job.tune(preset("zimage"), pictures, "my corgi", tmp_path / "out", measured=False)
    files = [load_file(o / "pytorch_lora_weights.safetensors") for o in (whole, out)]
    assert all(torch.equal(files[0][k], files[1][k]) for k in files[0])


def test_encoders_are_not_loaded_when_features_are_kept(preset, pictures, tmp_path, monkeypatch):
    from dopsd.training import encoded as features

    model = backbones.load(preset("zimage").backbone)
    first = features.Encoded(model, pictures, True, tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(type(model), "context", lambda *a, **k: pytest.fail("encoded again"))
        again = features.Encoded(model, pictures, True, tmp_path / "cache")
    a, b = (next(iter(x.visits.values()))[0][0] for x in (first, again))
    assert torch.equal(a.latents, b.latents) and torch.equal(a.teacher.features, b.teacher.features)
    files = set((tmp_path / "cache").iterdir())
    changed = [i.__class__(i.file, i.size, {"short_en": "[V] elsewhere"}, i.class_name) for i in pictures[:1]]
    features.Encoded(model, changed, True, tmp_path / "cache")
    assert len(set((tmp_path / "cache").iterdir()) - files) == 1


def test_presets_are_valid_and_changes_are_checked():
    from dopsd.config.preset import names

    assert set(names()) >= {"zimage", "zimage-low-memory", "klein-4b", "klein-9b", "krea", "mini-turbo"}
    for name in names():
        assert load_preset(name).train.steps > 0
    assert load_preset("zimage", ["train.steps=700"]).train.kept == (500, 700)
    with pytest.raises(UserError, match="no preset 'flux'; known: klein-4b"):
        load_preset("flux")
    with pytest.raises(UserError, match=r"--set train\.speed=2: train\.speed: unknown"):
        load_preset("zimage", ["train.speed=2"])
    with pytest.raises(UserError, match="--set speed=2: no field; write SECTION"):
        load_preset("zimage", ["speed=2"])
    with pytest.raises(UserError, match=r"--set train\.lora_rank=-1: train\.lora_rank: .*not -1"):
        load_preset("zimage", ["train.lora_rank=-1"])


def test_drawing_from_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    file = tmp_path / "x.png"
    arguments = ["--pictures", "2", "--out", str(file), "--nfe", "4"]
    result = CliRunner().invoke(cli.app, ["draw", "a large red star , photo style", *arguments])
    assert result.exit_code == 0 and "'a large red star , photo style' from 2 noises" in result.output
    with Image.open(file) as picture:
        assert picture.width > picture.height > 200
    result = CliRunner().invoke(cli.app, ["draw", "a corgi on the beach"])
    assert isinstance(result.exception, UserError)
    assert str(result.exception).startswith("PROMPT: the model has no word for corgi, beach; it knows: a and")


def test_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.new("RGB", (64, 64), "red").save(folder / "a.png")
    run = CliRunner().invoke
    short = ["--steps", "2"]
    for change in ("train.lora_rank=4", "backbone.device=cpu", "prompts.ordinary=8"):
        short += ["--set", change]
    args = [
        "tune",
        "--images",
        str(folder),
        "--name",
        "thing",
        "--backbone",
        "mini-turbo",
        "--out",
        str(tmp_path / "o"),
    ]
    (folder / "a.txt").write_text("a [V] on the beach")
    result = run(cli.app, [*args, *short])
    assert isinstance(result.exception, UserError) and "the model has no word for beach" in str(result.exception)
    (folder / "a.txt").write_text("a [V] at left")
    result = run(cli.app, [*args, *short, "--no-measure"])
    assert result.exit_code == 0, result.output
    assert "Not measured" in (tmp_path / "o" / "README.md").read_text()
    result = run(cli.app, ["measure", str(tmp_path / "o"), "--images", str(folder), "--name", "thing"])
    assert result.exit_code == 0, result.output
    assert "retention kid" in (tmp_path / "o" / "README.md").read_text()
    draw = [
        "draw",
        "a [V]",
        "--lora",
        str(tmp_path / "o"),
        "--pictures",
        "2",
        "--nfe",
        "2",
        "--out",
        str(tmp_path / "d.png"),
    ]
    assert run(cli.app, draw).exit_code == 0 and (tmp_path / "d.png").exists()
    where = ["--backbone", "mini-turbo", "--out", str(tmp_path / "e"), "--name", "thing"]
    result = run(cli.app, ["export", str(tmp_path / "o" / "checkpoints" / "step-0002"), *where])
    assert result.exit_code == 0 and (tmp_path / "e" / "comfyui" / "thing.safetensors").exists()
    card = (tmp_path / "o" / "README.md").read_text()
    assert "[V]" in card and "models/mini-turbo" in card and "Random weights" not in card
