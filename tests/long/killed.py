"""Trainings that are killed at random: killed.py GIVEN.json -> a line of JSON (see test_kills.py).

This process imports everything and opens the model once; every attempt is a fork of it, so that it begins in moments.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", "HF_HUB_OFFLINE": "1", "ACCELERATE_USE_CPU": "true"}
sys.path.insert(0, str(Path(__file__).parents[1]))

import forks
import tiny
import torch

from dopsd import backbones
from dopsd.config.backbone import ZImage
from dopsd.config.train import Train
from dopsd.sets.jsonl import read_set
from dopsd.training.loop import train
from dopsd.training.results import LOG_FILE, TIME_FILE

KINDS = {
    "lora": ("dopsd", {}, 1),
    "full": ("dopsd", {"tune": "full"}, 1),
    "offload": ("dopsd", {"tune": "full", "offload": True}, 1),
    "sft": ("sft", {}, 1),
    "two": ("dopsd", {"accumulation": 1}, 2),
}


class Trainings:
    """One kind of training, in a folder."""

    def __init__(self, kind: str, folder: Path, backbone: dict, settings: dict, manifest: str):
        method, changes, self.processes = KINDS[kind]
        self.folder, self.method = folder, tiny.method(method)
        often = {"steps": 8, "checkpoints": (3,), "batch_size": 2, "save_every": 1e-9}
        self.settings = Train.model_validate(settings).model_copy(update=often | changes)
        self.items = read_set(Path(manifest))
        self.model = backbones.load(ZImage.model_validate(backbone))
        _ = self.model.transformer  # opened once for all forks

    def start(self, work: str) -> list[int]:
        """The process ids of a training, in `work`."""
        how = {"seed": 3, "learning_rate": 1e-3, "name": "test", "cache": self.folder / "features"}

        def trains(rank: int = 0) -> None:
            train(self.model, self.items, self.method, self.settings, work=self.folder / work, **how)

        return forks.start(self.processes, trains) if self.processes > 1 else [forks.fork(trains)]

    def finish(self, work: str) -> dict[str, str]:
        """Let a training end -> the digest of each of its files."""
        statuses = forks.wait(self.start(work))
        assert statuses == [0] * self.processes, statuses
        (log,) = (self.folder / work).glob(f"*/{LOG_FILE}")
        found = [f for f in sorted(log.parent.rglob("*")) if f.is_file() and f.name != TIME_FILE]
        return {str(f.relative_to(log.parent)): hashlib.sha256(f.read_bytes()).hexdigest() for f in found}

    def kill(self, work: str, after: float, in_a_write: bool) -> str:
        """Kill a training so many seconds after it began, at the next write if asked for -> what the kill met: "nothing" (it
        had ended), "between" or "write"."""
        pids, until = self.start(work), time.monotonic() + after
        here = self.folder / work

        def writes() -> bool:
            return any(here.rglob(".tmp-*"))

        while time.monotonic() < until or (in_a_write and not writes() and not any(here.rglob(LOG_FILE))):
            time.sleep(0.0005)
        for pid in random.Random(after).sample(pids, len(pids)):
            os.kill(pid, signal.SIGKILL)
        statuses = forks.wait(pids)
        if -signal.SIGKILL not in statuses:
            return "nothing"
        return "write" if writes() else "between"


def main(kind: str, folder: str, kills: int, **given) -> None:
    torch.set_num_threads(1)
    these, chance = Trainings(kind, Path(folder), **given), random.Random(kind)
    whole = these.finish("whole")  # encodes, too
    begun = time.monotonic()
    assert these.finish("again") == whole
    lasts = time.monotonic() - begun
    met: list[str] = []
    work = 0
    while sum(m != "nothing" for m in met) < kills:
        work += 1
        for left in (0.9, 0.5)[: chance.randint(1, 2)]:  # of the training, more or less
            met.append(these.kill(str(work), chance.uniform(0, left * lasts), in_a_write=chance.random() < 0.5))
        assert these.finish(str(work)) == whole, (work, met)
    counts = {what: met.count(what) for what in ("write", "between", "nothing")}
    print(json.dumps(counts | {"trainings": work, "files": len(whole), "seconds": round(lasts, 2)}))


if __name__ == "__main__":
    main(**json.loads(Path(sys.argv[1]).read_text()))
