from pathlib import Path

import pytest
import yaml

from dopsd import config
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
    assert params.grid.methods == (*params.grid.untouched, *params.grid.trained)
    with pytest.raises(Exception, match="frozen"):
        params.train.steps = 3


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("train.steps", "many", r"params\.yaml: train\.steps: .*integer.*not 'many'"),
        ("train.lora_rank", 0, r"train\.lora_rank: .*greater than or equal to 1, not 0"),
        ("train.lose", "x0", r"train\.lose: Extra inputs are not permitted"),
        ("train.checkpoints", [2, 3], r"train: .*last of checkpoints must be steps"),
        ("train.accumulation", 3, r"train: .*cannot be split"),
        ("train.loss", "l1", r"train\.loss: .*'velocity'"),
        ("step_size.concept", "beacon", r"choose the step size on another"),
        ("grid.seeds", [0, 0], r"grid: .*seeds must name at least one value, each once"),
        ("backbone.dtype", "int8", r"backbone\.dtype: .*'float32'"),
    ],
)
def test_a_wrong_value_names_file_field_and_remedy(write, path, value, message):
    with pytest.raises(UserError, match=message):
        config.load(write(path, value))


def test_the_comparison_is_not_for_a_model_without_a_vlm(write):
    klein = config.load_preset("klein-4b").backbone.model_dump(mode="json")
    with pytest.raises(UserError, match=r"the file: .*see through|the file: .*dopsd tune --backbone klein-4b"):
        config.load(write("backbone", klein))


def test_a_missing_or_broken_file_is_one_clear_error(tmp_path):
    with pytest.raises(UserError, match="missing; run from the repository's root"):
        config.load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [")
    with pytest.raises(UserError, match="not YAML"):
        config.load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("")
    with pytest.raises(UserError, match=r"params\.yaml: the file"):
        config.load(tmp_path / "params.yaml")
