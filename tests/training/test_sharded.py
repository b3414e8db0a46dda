"""Full fine-tuning whose processes share the model out (gloo, CPU): the weights of one process, states for any number."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file

TESTS = Path(__file__).parent
EPS = 1e-8  # of Adam, which makes of a gradient of nearly zero a step of either sign


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
        said = [line.split(maxsplit=2)[1:] for line in ran.stdout.splitlines() if line.startswith("done ")]
        assert len(said) == processes and {n for n, _ in said} == {str(processes)}
        ((done,),) = [{what for _, what in said}]
        return done, tmp_path / work

    return launch


def weights(done: str, step: int = 3) -> dict[str, torch.Tensor]:
    return load_file(Path(done) / f"step-{step:04d}" / "transformer" / "diffusion_pytorch_model.safetensors")


def losses(done: str) -> list[float]:
    return [float(row.split(",")[1]) for row in (Path(done) / "loss.csv").read_text().splitlines()[1:]]


def apart(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> float:
    """The largest difference of a weight."""
    assert one.keys() == two.keys() and all(v.dtype == torch.float32 for v in two.values())
    return max(float((one[k] - two[k]).abs().max()) for k in one)


def test_two_processes_that_share_the_model_out_are_one(launched):
    whole, _ = launched(1, "whole", sharded=False)
    two, work = launched(2, "two")
    print(apart(weights(whole), weights(two)))
    assert apart(weights(whole), weights(two)) < 2e-4
    assert losses(two) == pytest.approx(losses(whole), rel=1e-4)
