from pathlib import Path

import pytest
import yaml

from dopsd.config.params import load, load_preset
from dopsd.config.study import Prompts
from dopsd.support.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def write(tmp_path):
    """Write params.yaml with one field changed and return its path."""

    def make(path: str, value):
        tree = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
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
        ("step_size.concept", "beacon", r"choose the step size on another"),
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
    assert params.backbone == preset.backbone and params.train.betas == (0.9, 0.999) and params.train.accumulation == 1
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
