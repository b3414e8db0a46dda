from pathlib import Path

import pytest
import tiny
import torch
import yaml

from dopsd import objectives
from dopsd.config.params import load, load_preset
from dopsd.config.study import Prompts
from dopsd.evaluation.instruments import Panel
from dopsd.support.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def write(tmp_path):
    """Write params.yaml with one field changed and return its path."""

    def make(path: str, value):
        tree = tiny.searching(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")))
        *parents, last = path.split(".")
        section = tree
        for key in parents:
            section = section[key]
        section[last] = value
        file = tmp_path / "params.yaml"
        file.write_text(yaml.safe_dump(tree), encoding="utf-8")
        return file

    return make


def test_the_repositorys_own_file_is_valid_and_frozen(params):
    assert params.grid.methods == (*params.grid.references, *params.grid.trained)
    with pytest.raises(Exception, match="frozen"):
        params.train.steps = 3


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("train.steps", "many", r"params\.yaml: train\.steps: .*integer.*not 'many'"),
        ("train.lora_rank", 0, r"train\.lora_rank: .*greater than or equal to 1, not 0"),
        ("train.lose", "x0", r"train\.lose: unknown; known: accumulation, "),
        ("train.checkpoints", [3, 2], r"train: .*checkpoints must rise"),
        ("train.accumulation", 3, r"train: .*cannot be split"),
        ("train", {"tune": "full", "merged_teacher": True}, r"train: .*merged_teacher is for tune lora"),
        ("grid.trained", ["sft", "magic"], r"grid\.trained names 'magic', which has no entry in methods"),
        ("grid.references", ["described"], r"references must hold untouched"),
        ("step_size.concepts", ["medal", "beacon"], r"concepts names 'beacon', .*choose the step size on others"),
        ("probe.layers", [-1], r"probe\.layers \[-1\] lacks backbone\.teacher_layer -2"),
        (
            "picture_probe",
            {"contexts": ["text", "image_text", "wrong_image_text"], "nfe": [4], "images": 4},
            r"probe is the world's and picture_probe",
        ),
        ("grid.seeds", [0, 0], r"grid: .*seeds must name each value once"),
        ("backbone.dtype", "int8", r"backbone\.dtype: .*'float32'"),
    ],
)
def test_a_wrong_value_names_file_field_and_remedy(write, path, value, message):
    with pytest.raises(UserError, match=message):
        load(write(path, value))


@pytest.mark.parametrize(
    ("prompts", "said"),
    [({"source": "vlm"}, "source vlm needs a writer"), ({"source": "files"}, "source files needs a folder")],
)
def test_prompts_say_what_their_source_needs(prompts, said):
    with pytest.raises(Exception, match=said):
        Prompts(new=1, ordinary=8, **prompts)


def test_a_learning_rate_is_given_or_searched(write):
    with pytest.raises(
        UserError, match=r"step_size: no learning rate of 'dopsd': give it \(given: \{dopsd: 1\.0e-4\}\), or"
    ):
        load(write("step_size", {"given": {"sft": 1e-4}}))
    assert load(write("step_size", {"given": {"sft": 1e-4, "dopsd": 1e-3}})).searched == ()


def test_a_file_says_only_what_differs_from_the_preset_it_extends(write, tmp_path):
    params, preset = load(ROOT / "params.yaml"), load_preset("mini-turbo")
    assert (
        params.backbone == preset.backbone.model_copy(update={"base": "models/mini-base"})
        and params.train.betas == (0.9, 0.999)
        and params.train.accumulation == 1
    )
    assert params.train.kept == (10, 20, 40) and preset.train.kept == (20, 40)
    assert load(write("train.steps", 15)).train.kept == (10, 15)
    with pytest.raises(UserError, match=r"no preset 'maxi'; known: "):
        load(write("extends", "maxi"))
    with pytest.raises(UserError, match=r"params\.yaml: extends: 3; name one preset"):
        load(write("extends", 3))
    loop = tmp_path / "loop.yaml"
    loop.write_text(f"extends: {loop}")
    with pytest.raises(UserError, match="extends itself"):
        load_preset(str(loop))


def test_a_missing_or_broken_file_is_one_clear_error(tmp_path):
    with pytest.raises(UserError, match="missing; run from the repository's root"):
        load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [")
    with pytest.raises(UserError, match="not YAML"):
        load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("")
    with pytest.raises(UserError, match=r"params\.yaml: the file"):
        load(tmp_path / "params.yaml")


def test_an_error_names_the_file_that_says_the_field(write, tmp_path):
    """Not the preset below, nor the option above, that say nothing of it."""
    low, high = tmp_path / "low.yaml", tmp_path / "high.yaml"
    low.write_text(
        "extends: mini-turbo\ntrain: {clip: 0}\nmethods: {dopsd: {loss: l1}}\ninstruments: {kid: {features: 3}}"
    )
    high.write_text(f"extends: {low}\ntrain: {{save_every: 5}}")
    with pytest.raises(UserError, match=rf"^{low}: train\.clip: .*greater than 0, not 0"):
        load_preset(str(high), ["train.steps=5"])
    low.write_text(low.read_text().replace("clip: 0", "clip: 1.0"))
    preset = load_preset(str(high), ["methods.dopsd.ema=0.5"])
    assert preset.where("methods", "dopsd", "loss") == str(low) and preset.where("train", "save_every") == str(high)
    assert preset.where("methods", "dopsd", "ema") == "--set methods.dopsd.ema=0.5"
    assert preset.where("train", "betas") == "preset defaults"
    with pytest.raises(UserError, match=rf"^{low}: methods\.dopsd\.loss: "):
        objectives.method("dopsd", preset.methods, preset.where)
    with pytest.raises(UserError, match=rf"^{low}: instruments\.kid\.features: "):
        Panel(preset.instruments, torch.device("cpu"), preset.where)
    with pytest.raises(
        UserError, match=r"^preset mini-turbo: train: batch_size 2 cannot|^--set train\.accumulation=4: train: "
    ):
        load_preset(str(high), ["train.accumulation=4"])


def test_numbers_are_what_they_look_like():
    for said, number in (("1e-4", 1e-4), ("1", 1.0), ("1_000.5e0", None), (".5", 0.5), ("+2", 2.0)):
        if number is None:
            with pytest.raises(UserError, match="valid number"):
                load_preset("zimage", [f"tune.learning_rate={said}"])
        else:
            assert load_preset("zimage", [f"tune.learning_rate={said}"]).tune.learning_rate == number
    assert load_preset("zimage", ["train.steps=2_000"]).train.steps == 2000
    assert load_preset("zimage", ["tune.license=2024-01-01"]).tune.license == "2024-01-01"  # a date is a text


def test_aliases_that_say_little_are_read(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("extends: zimage\ntrain: &t {steps: 7}\ntune: {previews: {every: 3}}\nmethods: {sft: {}}\n")
    assert load_preset(str(file)).train.steps == 7
    file.write_text("base: &b {steps: 7}\ntrain: *b\nextends: zimage\n")
    with pytest.raises(UserError, match="base: unknown"):
        load_preset(str(file))


@pytest.mark.parametrize(
    "text", ["train: {steps: .inf}", "train: {clip: -.INF}", "tune: {learning_rate: 1e999}", "tune: {seed: .nan}"]
)
def test_params_that_are_not_finite_are_refused(tmp_path, text):
    (tmp_path / "p.yaml").write_text(f"extends: zimage\n{text}\n")
    with pytest.raises(UserError, match=r"p\.yaml: not YAML \(line 2: .*is not a finite number"):
        load_preset(str(tmp_path / "p.yaml"))
    with pytest.raises(ValueError, match="finite"):
        load_preset("zimage").train.__class__.model_validate(
            load_preset("zimage").train.model_dump() | {"clip": float("inf")}
        )


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("grid.turbos", ["a"], r"grid: .*turbos names a few-step model for each of seeds"),
        ("prompts.also_said", [0.5, 0.5], r"prompts: .*also_said names a chance twice"),
        ("prompts.also_said", [0.15], r"prompts: .*also_said names a chance twice, or that of said"),
        (
            "step_size.same",
            {"sft": "dopsd", "dopsd": "sft"},
            r"step_size\.same: '\w+' takes the rate of one that takes",
        ),
        (
            "step_size.same",
            {"dopsd": "untouched"},
            r"step_size\.same: 'dopsd' takes the rate of 'untouched', which has none",
        ),
        ("step_size.same", {"dopsd": "sfd"}, r"step_size\.same: .*takes the rate of 'sfd'"),
        ("grid.references", ["untouched", "teached"], r"grid\.references\.1: .*'teacher'"),
        ("step_size.concepts", [], r"step_size: no learning rate of 'sft': .*name concepts and candidates"),
    ],
)
def test_what_a_study_is_made_of_fits_together(write, path, value, message):
    with pytest.raises(UserError, match=message):
        load(write(path, value))


def test_prompts_of_other_opennesses_are_the_worlds():
    with pytest.raises(Exception, match="also_said is of prompts that the world makes"):
        Prompts(new=1, ordinary=8, source="captions", also_said=(0.5,))


def test_a_method_that_takes_anothers_rate_is_not_searched(write):
    assert load(write("step_size.same", {"dopsd": "sft"})).searched == ("sft",)


def test_a_study_says_only_what_differs_from_the_study_that_it_extends(tmp_path, monkeypatch):
    for name in ("one", "two", "loop"):
        (tmp_path / name).mkdir()
    tree = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    (tmp_path / "one" / "params.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    two = tmp_path / "two" / "params.yaml"
    two.write_text("extends: ../one/params.yaml\ngrid: {concepts: [crate]}\ntrain: {steps: 7}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path / "two")
    one, both = load(ROOT / "params.yaml"), load(Path("params.yaml"))
    assert both.grid == one.grid.model_copy(update={"concepts": ("crate",)})
    assert both.train == one.train.model_copy(update={"steps": 7}) and both.methods == one.methods
    assert both.where("train", "steps") == "params.yaml" and both.where("grid", "seeds") == "../one/params.yaml"
    assert both.where("train", "betas") == "preset defaults"
    two.write_text("extends: ../one/params.yaml\ntrain: {stepz: 7}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"^params\.yaml: train\.stepz: unknown"):
        load(Path("params.yaml"))
    two.write_text("extends: ../none/params.yaml\n", encoding="utf-8")
    with pytest.raises(
        UserError, match=r"^params\.yaml: extends: \.\./none/params\.yaml: missing; name another study's"
    ):
        load(Path("params.yaml"))
    two.write_text("extends: ../loop/params.yaml\n", encoding="utf-8")
    (tmp_path / "loop" / "params.yaml").write_text("extends: ../two/params.yaml\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"extends itself \(.*\); name another"):
        load(Path("params.yaml"))
