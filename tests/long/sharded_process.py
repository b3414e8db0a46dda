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
sent: list[int] = []  # after which step gradients went between processes
reduce_scatter = torch.distributed.reduce_scatter_single
begun = sharded.Training.__init__


def noted(self, *arguments):
    begun(self, *arguments)
    seen.append(self)


def counted(*arguments, **options):
    sent.append(seen[0].step)
    return reduce_scatter(*arguments, **options)


sharded.Training.__init__ = noted
torch.distributed.reduce_scatter_single = counted
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
    names = [name for name, _ in seen[0].backbone.transformer.named_parameters()]
    whole = {n: p.full_tensor() for n, p in zip(names, seen[0].teacher.parameters, strict=True)}  # in every process
    if PartialState().is_main_process:
        torch.save(whole, Path(given["work"]) / f"teacher-{PartialState().num_processes}.pt")
each = "".join(str(sent.count(step)) for step in range(given["train"]["steps"]))
os.write(1, f"done {PartialState().num_processes} {each} {done}\n".encode())
