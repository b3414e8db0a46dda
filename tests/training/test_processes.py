"""Two processes (gloo, CPU) with the same global batch give the weights of one."""

import hashlib

import forks
import pytest
import tiny
import torch
from accelerate import PartialState
from safetensors.torch import load_file

from dopsd import backbones
from dopsd.evaluation import distances
from dopsd.evaluation.drawing import draw
from dopsd.sets.jsonl import read_set
from dopsd.training.loop import train

PROMPTS = ["a red disc", "please draw a [V]", "a star"]  # of which two processes draw unequal shares


def trained_and_drawn(settings, options, manifest, work):
    """In each process -> (where the training is, how many there are, the digest of the pictures that all have)."""
    how = {"seed": 3, "learning_rate": 1e-3, "work": work, "name": "test", "cache": work / "features"}
    done = train(backbones.load(settings), read_set(manifest), tiny.method("dopsd"), options, **how)
    model = backbones.load(settings)
    noise = torch.randn(3, *model.latent_shape(64, 64), generator=torch.Generator().manual_seed(0))
    pictures = draw(model, model.context(PROMPTS), noise, 2, batch_size=1)
    if PartialState().is_main_process:  # one process may score alone
        features = pictures.flatten(1)[:, :8]
        assert abs(distances.frechet(features, features)) < 1e-3 and distances.kid(features, features) < 1e-3
    PartialState().wait_for_everyone()
    return str(done), PartialState().num_processes, hashlib.sha256(pictures.numpy().tobytes()).hexdigest()


def test_two_processes_are_one(all_settings, train_settings, concept_set, tmp_path):
    options = train_settings.model_copy(update={"steps": 3, "checkpoints": (), "batch_size": 4})
    weights, logs, pictures = [], [], []
    for processes in (1, 2):
        (work := tmp_path / str(processes)).mkdir()
        given = all_settings["zimage"], options, concept_set, work
        said = forks.launched(processes, lambda given=given: trained_and_drawn(*given), tmp_path)
        ((done, n, drawn),) = {tuple(answer) for answer in said}  # all processes say the same
        assert n == processes
        pictures.append(drawn)
        weights.append(load_file(f"{done}/step-0003/pytorch_lora_weights.safetensors"))
        with open(f"{done}/loss.csv") as file:
            logs.append(file.read().splitlines()[1:])
    assert pictures[0] == pictures[1]  # each drew a share of the prompts
    one, two = weights
    assert one.keys() == two.keys()
    for key in one:
        assert torch.allclose(one[key], two[key], atol=2e-4), key  # Adam: a gradient of nearly zero may turn its sign
    for a, b in zip(*logs, strict=True):
        assert float(a.split(",")[1]) == pytest.approx(float(b.split(",")[1]), rel=1e-3)
