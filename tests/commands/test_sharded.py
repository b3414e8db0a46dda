"""`dopsd tune --sharded` in two processes, from pictures to a model that draws, and what of it is said beforehand."""

import os
import subprocess
import sys

import pytest
import yaml
from typer.testing import CliRunner

from dopsd.commands import main as cli
from dopsd.config.params import load_preset
from dopsd.training import state

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


def test_processes_that_share_a_model_out_train_preview_and_publish_it(preset, items, tmp_path):
    out, environment = tmp_path / "out", os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "dopsd"]
    given = command(preset, items, out, "--no-measure", "--sharded")
    ran = subprocess.run([*launch, *given], env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr[-3000:]
    (place,) = state.kept(out / "checkpoints").values()
    assert len(list((place / "shards").glob("*.distcp"))) == 2
    for step in (0, 1, 2):
        assert (out / "previews" / f"step-{step:05d}.png").exists()
    assert (out / "gallery.png").exists() and len(list((out / "gallery").glob("*-tuned.png"))) == 3
    said = CliRunner().invoke(cli.app, command(preset, items, out, "--no-measure"))
    assert said.exit_code == 0 and "finished before, 2 steps" in said.output  # however it was shared out
    more = CliRunner().invoke(cli.app, command(preset, items, out, "--no-measure", "--steps", "3"))
    assert "with --sharded, which this one cannot read; give it to go on" in str(more.exception)


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
