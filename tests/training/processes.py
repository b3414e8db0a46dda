"""A training and a drawing to be run by one process or by several: processes.py SETTINGS.json (see test_processes.py)."""

import hashlib
import json
import os
import sys
from pathlib import Path

import torch
from accelerate import PartialState

from dopsd import backbones, objectives
from dopsd.config.backbone import ZImage
from dopsd.config.train import Train
from dopsd.evaluation import distances
from dopsd.evaluation.drawing import draw
from dopsd.sets.jsonl import read_set
from dopsd.training.loop import train

given = json.loads(Path(sys.argv[1]).read_text())
done = train(
    backbones.load(ZImage.model_validate(given["backbone"])),
    read_set(Path(given["manifest"])),
    objectives.method(given["method"], {given["method"]: given["settings"]}, "test"),
    Train.model_validate(given["train"]),
    seed=3,
    learning_rate=1e-3,
    work=Path(given["work"]),
    name="test",
    cache=Path(given["work"]) / "features",
)
model = backbones.load(ZImage.model_validate(given["backbone"]))
prompts = ["a red disc", "please draw a [V]", "a star"]
noise = torch.randn(3, *model.latent_shape(64, 64), generator=torch.Generator().manual_seed(0))
pictures = draw(model, model.context(prompts), noise, 2, batch_size=1)
if PartialState().is_main_process:  # one process may score alone
    features = pictures.flatten(1)[:, :8]
    assert abs(distances.frechet(features, features)) < 1e-3 and distances.kid(features, features) < 1e-3
PartialState().wait_for_everyone()
line = f"{done} {PartialState().num_processes} {hashlib.sha256(pictures.numpy().tobytes()).hexdigest()}\n"
os.write(1, line.encode())  # at once: processes that print at the same time mix their lines
