"""What of `dopsd tune --sharded` is said beforehand (in two processes: tests/long)."""

import pytest
import shared_out
from shared_out import command
from typer.testing import CliRunner

from dopsd.commands import main as cli


@pytest.fixture
def preset(all_settings, tmp_path):
    return shared_out.preset(all_settings["zimage"], tmp_path)


def test_what_cannot_be_shared_out_is_said_before_anything_is_written(preset, items, tmp_path):
    for more in ((), ("--dry-run",)):
        given = command(preset, items, tmp_path / "out", "--no-measure", "--sharded", "--set", "train.tune=lora", *more)
        said = CliRunner().invoke(cli.app, given)
        assert "--sharded: is for train.tune full" in str(said.exception)
        both = command(preset, items, tmp_path / "out", "--no-measure", "--sharded", "--memory", "24", *more)
        assert "--memory 24: not with --sharded" in str(CliRunner().invoke(cli.app, both).exception)
    assert not (tmp_path / "out").exists()


def test_a_dry_run_says_whose_memory_it_means(preset, items, tmp_path):
    said = CliRunner().invoke(
        cli.app, command(preset, items, tmp_path / "out", "--no-measure", "--sharded", "--dry-run")
    )
    assert said.exit_code == 0 and "sharded: that memory is of all processes together" in said.output
