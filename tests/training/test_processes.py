"""Two processes (gloo, CPU) with the same global batch give the weights of one."""

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


def test_two_processes_are_one(all_settings, train_settings, concept_set, tmp_path):
    options = train_settings.model_copy(update={"steps": 3, "checkpoints": (), "batch_size": 4})
    given = {"backbone": all_settings["zimage"].model_dump(), "manifest": str(concept_set), "method": "dopsd"}
    given["settings"] = tiny.method("dopsd").settings.model_dump()
    given["train"] = options.model_dump()
    weights, logs, pictures = [], [], []
    for processes in (1, 2):
        work = tmp_path / str(processes)
        file = tmp_path / f"{processes}.json"
        file.write_text(json.dumps(given | {"work": str(work)}))
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        launch += [str(TESTS / "processes.py"), str(file)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
        said = subprocess.run(launch, env=environment, capture_output=True, text=True, timeout=300)
        assert said.returncode == 0, said.stderr[-3000:]
        lines = [line.split() for line in said.stdout.splitlines() if line.startswith(str(work))]
        assert len(lines) == processes
        ((done, n, drawn),) = {tuple(line) for line in lines}  # all processes say the same
        assert n == str(processes)
        pictures.append(drawn)
        weights.append(load_file(Path(done) / "step-0003" / "pytorch_lora_weights.safetensors"))
        logs.append((Path(done) / "loss.csv").read_text().splitlines()[1:])
    assert pictures[0] == pictures[1]  # each drew a share of the prompts
    one, two = weights
    assert one.keys() == two.keys()
    for key in one:
        assert torch.allclose(one[key], two[key], atol=2e-4), key  # Adam: a gradient of nearly zero may turn its sign
    for a, b in zip(*logs, strict=True):
        assert float(a.split(",")[1]) == pytest.approx(float(b.split(",")[1]), rel=1e-3)
