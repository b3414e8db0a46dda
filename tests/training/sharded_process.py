"""Sharded trainings to be run by one process or by several: sharded_process.py SETTINGS.json (see test_sharded.py)."""

import json
import os
import sys
from pathlib import Path

import torch
from accelerate import PartialState

from dopsd import backbones, objectives
from dopsd.config.backbone import ZImage
from dopsd.config.train import Train
from dopsd.sets.jsonl import read_set
from dopsd.training import loop, sharded
from dopsd.training.loop import Preview
from dopsd.training.stop import Stopped

given = json.loads(Path(sys.argv[1]).read_text())
backbone = backbones.load(ZImage.model_validate(given["backbone"]))
method = objectives.method(given["method"], {given["method"]: given["settings"]}, "test")
seen: list[sharded.Training] = []
begun = sharded.Training.__init__


def noted(self, *arguments):
    begun(self, *arguments)
    seen.append(self)


sharded.Training.__init__ = noted
if given["stop"]:
    sharded.Training.anyone = lambda self, asked: asked or self.step == given["stop"]
torch.manual_seed(0)
try:
    done = (sharded.train if given["sharded"] else loop.train)(
        backbone,
        read_set(Path(given["manifest"])),
        method,
        Train.model_validate(given["train"]),
        seed=3,
        learning_rate=given["learning_rate"],
        work=Path(given["work"]),
        name="test",
        cache=Path(given["features"]),
        preview=Preview(10**6, lambda step: None),
    )
except Stopped as error:
    done = f"stopped: {error}"
if seen and seen[0].teacher:
    whole = [p.full_tensor() for p in seen[0].teacher.parameters]  # in every process
    if PartialState().is_main_process:
        torch.save(whole, Path(given["work"]) / f"teacher-{PartialState().num_processes}.pt")
os.write(1, f"done {PartialState().num_processes} {done}\n".encode())
