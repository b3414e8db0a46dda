"""Full fine-tuning whose processes share the model out (gloo, CPU): the weights of one process, states for any number."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import tiny
import torch
from safetensors.torch import load_file

TESTS = Path(__file__).parent
NEAR = 1e-4  # a tenth of a step of Adam, which may turn the sign of a gradient of nearly zero; 6e-6 was seen


class Ran(NamedTuple):
    """A training: its folder, how often gradients were sent in each step, and the folder that it was done in."""

    done: str
    sent: str
    work: Path


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return tmp_path_factory.mktemp("features")


@pytest.fixture
def launched(all_settings, train_settings, concept_set, features, tmp_path):
    """Runs a training in so many processes -> what it said, and its folder."""

    def launch(processes: int, work: str, sharded: bool = True, stop: int = 0, decay: float = 0.9999, **changes):
        how = {"tune": "full", "steps": 3, "checkpoints": (), "batch_size": 2, "accumulation": 1} | changes
        dtype = how.pop("dtype", "float32")
        given = {"backbone": all_settings["zimage"].model_dump() | {"dtype": dtype}, "manifest": str(concept_set)}
        given |= {"method": "dopsd", "settings": tiny.METHODS["dopsd"] | {"ema": decay}, "stop": stop}
        given |= {"train": train_settings.model_copy(update=how).model_dump(), "work": str(tmp_path / work)}
        given |= {"sharded": sharded, "learning_rate": 1e-3, "features": str(features / dtype)}
        file = tmp_path / "given.json"
        file.write_text(json.dumps(given))
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        launch += [str(TESTS / "sharded_process.py"), str(file)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
        ran = subprocess.run(launch, env=environment, capture_output=True, text=True, timeout=300)
        assert ran.returncode == 0, ran.stderr[-3000:]
        said = [line.split(maxsplit=3)[1:] for line in ran.stdout.splitlines() if line.startswith("done ")]
        assert len(said) == processes and {n for n, _, _ in said} == {str(processes)}
        ((sent, done),) = {(sent, done) for _, sent, done in said}
        return Ran(done, sent, tmp_path / work)

    return launch


def weights(done: str, step: int = 3) -> dict[str, torch.Tensor]:
    return load_file(Path(done) / f"step-{step:04d}" / "transformer" / "diffusion_pytorch_model.safetensors")


def losses(done: str) -> list[float]:
    return [float(row.split(",")[1]) for row in (Path(done) / "loss.csv").read_text().splitlines()[1:]]


def bf16(x: torch.Tensor) -> torch.Tensor:
    return x.bfloat16()


def apart(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> float:
    """The largest difference of a weight."""
    assert one.keys() == two.keys() and all(v.dtype == torch.float32 for v in two.values())
    return max(float((one[k] - two[k]).abs().max()) for k in one)


def test_two_processes_that_share_the_model_out_are_one_and_so_is_one_that_goes_on_from_them(launched):
    whole, two = launched(1, "whole", sharded=False), launched(2, "two")
    assert apart(weights(whole.done), weights(two.done)) < NEAR
    assert losses(two.done) == pytest.approx(losses(whole.done), rel=1e-4)
    assert two.sent == "555"  # four blocks and the rest, once a step of three states
    stopped = launched(2, "halfway", stop=2)
    assert stopped.done.startswith("stopped: stopped after step 2 of 3")
    (state,) = stopped.work.glob("*/state-*")
    assert len(list((state / "shards").glob("*.distcp"))) == 2
    alone = launched(1, "halfway")
    assert losses(alone.done)[:2] == losses(two.done)[:2] and len(losses(alone.done)) == 3
    assert apart(weights(alone.done), weights(two.done)) < NEAR


def test_an_average_of_many_steps_moves_where_blocks_are_computed_in_bf16(launched, all_settings):
    """accelerate's FSDP2 casts the weights to what is computed in, where a decay of .9999 rounds away."""
    ran = launched(2, "average", dtype="bfloat16", checkpoints=(1, 2))
    folder = Path(all_settings["zimage"].model) / "transformer"
    began = {k: v.bfloat16().float() for k, v in load_file(folder / "diffusion_pytorch_model.safetensors").items()}
    average = dict(began)
    for step in (1, 2, 3):
        now = weights(ran.done, step)
        average = {k: torch.lerp(v, now[k], 1 - 0.9999) for k, v in average.items()}
    (file,) = ran.work.glob("teacher-2.pt")
    theirs = torch.load(file)
    assert apart(average, theirs) < 1e-8
    moved, rounded = (sum(int((of(theirs[k]) != of(began[k])).sum()) for k in began) for of in (torch.clone, bf16))
    total = sum(v.numel() for v in began.values())
    assert moved > 0.5 * total and rounded < 0.05 * total
