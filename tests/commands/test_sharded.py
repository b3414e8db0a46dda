"""What of `dopsd tune --sharded` is said beforehand (in two processes: tests/long)."""

import pytest
import yaml
from typer.testing import CliRunner

from dopsd.commands import main as cli
from dopsd.config.params import load_preset

SHORT = ["train.tune=full", "train.steps=2", "train.checkpoints=[1]", "train.batch_size=2", "train.accumulation=1"]
SHORT += ["tune.size=64", "methods.dopsd.rollout_steps=2", "tune.nfe=2", "tune.previews.every=1"]
SHORT += ["tune.previews.prompts=['[V] in the snow', 'a street', '[V]']"]  # one more than the processes


@pytest.fixture
def preset(all_settings, tmp_path):
    """The file of a preset of a tiny model."""
    given = load_preset("zimage", SHORT).model_copy(update={"backbone": all_settings["zimage"]})
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(given.model_dump(mode="json")))
    return str(file)


def command(preset, items, out, *more):
    folder = str(items[0].file.parent)
    return ["tune", "--images", folder, "--name", "my corgi", "--backbone", preset, "--out", str(out), *more]


def test_what_cannot_be_shared_out_is_said_before_anything_is_written(preset, items, tmp_path):
    for more in ((), ("--dry-run",)):
        given = command(preset, items, tmp_path / "out", "--no-measure", "--sharded", "--set", "train.tune=lora", *more)
        said = CliRunner().invoke(cli.app, given)
        assert "--sharded: is for train.tune full" in str(said.exception)
    assert not (tmp_path / "out").exists()


def test_a_dry_run_says_whose_memory_it_means(preset, items, tmp_path):
    said = CliRunner().invoke(
        cli.app, command(preset, items, tmp_path / "out", "--no-measure", "--sharded", "--dry-run")
    )
    assert said.exit_code == 0 and "sharded: that memory is of all processes together" in said.output
