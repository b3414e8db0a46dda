"""A training to be run by one process or by several: processes.py SETTINGS.json (see test_processes.py)."""

import json
import sys
from pathlib import Path

from accelerate import PartialState

from dopsd import backbones
from dopsd.concepts import read_set
from dopsd.config.backbone import ZImage
from dopsd.config.train import Train
from dopsd.train import train

given = json.loads(Path(sys.argv[1]).read_text())
done = train(
    backbones.load(ZImage.model_validate(given["backbone"])),
    read_set(Path(given["manifest"])),
    given["method"],
    Train.model_validate(given["train"]),
    seed=3,
    learning_rate=1e-3,
    work=Path(given["work"]),
    name="test",
    cache=Path(given["work"]) / "features",
)
print(done, PartialState().num_processes)
