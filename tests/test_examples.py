"""The launch configurations are ones that accelerate reads, and the cluster's jobs ones that a shell does."""

import re
import subprocess
from pathlib import Path

import pytest
import typer.main
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser

from dopsd.commands.main import app
from dopsd.config.params import load_preset

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples" / "accelerate").glob("*.yaml"))
JOBS = sorted((ROOT / "examples" / "slurm").glob("*.sbatch"))
SIZES = {"1-gpu": (1, 1), "4-gpus": (4, 1), "8-gpus": (8, 1), "two-nodes": (16, 2)}


def tunes(text: str, processes: int, sharded: bool) -> None:
    """Its command is one that `dopsd tune` knows, on a batch that so many processes can split."""
    known = {o for p in typer.main.get_command(app).commands["tune"].params for o in p.opts}
    said = text.partition("-m dopsd tune")[2]
    assert set(re.findall(r"--[a-z-]+(?= |\n|$)", said)) <= known
    settings = load_preset("zimage", re.findall(r"--set ([a-z_.]+=\w+)", said)).train
    assert settings.batch_size % (processes * settings.accumulation) == 0
    assert ("--sharded" in said) == sharded == (settings.tune == "full")


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda f: f.stem)
def test_accelerate_reads_it(file):
    config = load_config_from_file(str(file))
    processes, machines = SIZES[file.stem]
    assert (config.num_processes, config.num_machines) == (processes, machines)
    assert str(config.distributed_type.value) == ("NO" if processes == 1 else "MULTI_GPU")
    lora, _, full = file.read_text().partition("# all weights")
    assert f"examples/accelerate/{file.name} -m dopsd tune" in lora
    tunes(lora.partition("\ncompute")[0], processes, sharded=False)
    if processes > 1:
        tunes(lora + full.partition("\ncompute")[0], processes, sharded=True)


@pytest.mark.parametrize("file", JOBS, ids=lambda f: f.stem)
def test_a_job_is_a_shells_and_fits_its_configuration(file):
    subprocess.run(["bash", "-n", str(file)], check=True)
    text = file.read_text()
    asked = {k: int(v) for k, v in re.findall(r"#SBATCH --([a-z-]+)=(\d+)\n", text)}
    (name,) = re.findall(r"--config_file examples/accelerate/([a-z0-9-]+)\.yaml", text)
    processes, machines = SIZES[name]
    assert (asked["nodes"], asked["nodes"] * asked["gpus-per-node"], asked["ntasks-per-node"]) == (
        machines,
        processes,
        1,
    )
    tunes(text.replace("'", " "), processes, sharded="full" in file.stem)
    launcher = {o for a in launch_command_parser()._actions for o in a.option_strings}
    assert (
        set(re.findall(r"--[a-z_]+(?= )", text[text.index("accelerate launch") :].partition("-m dopsd")[0])) <= launcher
    )


def test_there_is_one_for_each_promised_size():
    assert {f.stem for f in EXAMPLES} == set(SIZES)
    assert {f.stem for f in JOBS} == {"lora", "full-two-nodes"}
