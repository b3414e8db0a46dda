"""What can be wrong with a training is said before any of its work, and leaves nothing behind."""

import pytest
from PIL import Image

from dopsd import backbones
from dopsd.backbones.pipeline import PipelineBackbone
from dopsd.commands import tune as job
from dopsd.config.params import load_preset
from dopsd.sets import folder as own
from dopsd.support.errors import UserError

WRONG = {
    "a GPU's graphs": (["train.cuda_graphs=true"], r"train\.cuda_graphs needs a CUDA GPU, not cpu"),
    "all of few bits": (["train.tune=full"], r"train\.tune full needs backbone\.quantize none"),
    "merged of few bits": (
        ["train.merged_teacher=true"],
        r"train\.merged_teacher needs backbone\.quantize none or fp8: int8",
    ),
    "a layer": (
        ["train.lora_targets=[to_q, to_kk]"],
        r"lora_targets: 'to_kk': the model has no such layer; did you mean 'to_k'",
    ),
    "a method of studies": (
        ["tune.method=pso"],
        r"tune\.method: pso prepares something .*choose one of anchored_sft, dopsd, ",
    ),
    "another's picture": (["methods.dopsd.shown=another"], r"methods\.dopsd: shows another .*set shown: itself"),
    "no such list": (["prompts.ordinary_list=odd"], r"prompts\.ordinary_list: 'odd'"),
    "a short list": (["prompts.ordinary=5000"], r"has \d+ prompts, fewer than prompts\.ordinary 5000"),
    "no given ones": (["prompts.given=[a dog]"], r"prompts\.given: none holds \[V\]"),
    "a world": (["prompts.source=world"], r"prompts\.source world: pictures have no world"),
    "files": (["prompts.source=files", "prompts.folder=none"], r"none/prompts\.jsonl: missing"),
}


@pytest.fixture
def items(tmp_path):
    (tmp_path / "set").mkdir()
    Image.new("RGB", (32, 32), "red").save(tmp_path / "set" / "a.png")
    (tmp_path / "set" / "a.txt").write_text("[V] outdoors")
    return own.read_pictures(tmp_path / "set", "corgi", 32).items


@pytest.mark.parametrize("what", WRONG)
def test_it_is_said_before_anything_is_opened_or_written(what, items, all_settings, tmp_path, monkeypatch):
    changes, says = WRONG[what]
    monkeypatch.setattr(PipelineBackbone, "opened", lambda *a: pytest.fail("the transformer is opened"))
    monkeypatch.setattr(PipelineBackbone, "text", property(lambda self: pytest.fail("the text encoder is opened")))
    model = all_settings["zimage"].model_copy(update={"quantize": "int8" if "few bits" in what else "none"})
    preset = load_preset("zimage", ["prompts.source=captions", *changes]).model_copy(update={"backbone": model})
    with pytest.raises(UserError, match=says):
        job.tune(preset, items, "corgi", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_batch_that_cannot_be_split_between_the_processes(items, all_settings, tmp_path, monkeypatch):
    from types import SimpleNamespace

    monkeypatch.setattr(job.measure, "processes", lambda *_: SimpleNamespace(num_processes=3, is_main_process=True))
    preset = load_preset("zimage").model_copy(update={"backbone": all_settings["zimage"]})
    with pytest.raises(
        UserError, match=r"train\.batch_size 4 cannot be split into train\.accumulation 4 x 3 processes"
    ):
        job.checked(preset, items, False)


@pytest.mark.parametrize(
    ("kind", "preset"),
    [("zimage", "zimage"), ("klein", "klein-4b"), ("krea", "krea"), ("miniature", "mini-turbo")],
)
def test_the_layers_are_those_of_the_model_and_a_preset_names_some(kind, preset, all_settings):
    model = backbones.load(all_settings[kind])
    linear = [n for n, m in model.transformer.named_modules() if type(m).__name__ == "Linear"]
    assert model.layers() == linear
    job._targets(model, load_preset(preset))
