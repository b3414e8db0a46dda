"""Full fine-tuning whose processes share the model out (gloo, CPU): the weights of one process, states for any number."""

from pathlib import Path
from typing import NamedTuple

import forks
import pytest
import tiny
import torch
from accelerate import PartialState
from safetensors.torch import load_file

from dopsd import backbones
from dopsd.sets.jsonl import read_set
from dopsd.training import loop, sharded
from dopsd.training.loop import Preview
from dopsd.training.stop import Stopped

NONE = Preview(10**6, lambda step: None)
NEAR = 1e-4  # a tenth of a step of Adam, which may turn the sign of a gradient of nearly zero; 6e-6 was seen


class Ran(NamedTuple):
    """A training: its folder, how often gradients were sent in each step, and the folder that it was done in."""

    done: str
    sent: str
    work: Path


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return tmp_path_factory.mktemp("features")


def watched(monkeypatch) -> tuple[list[sharded.Training], list[int]]:
    """What a process is about to fill: the training in it, and after which step gradients went between processes."""
    seen, sent = [], []
    begun, reduce_scatter = sharded.Training.__init__, torch.distributed.reduce_scatter_single

    def noted(self, *arguments):
        begun(self, *arguments)
        seen.append(self)

    def counted(*arguments, **options):
        sent.append(seen[0].step)
        return reduce_scatter(*arguments, **options)

    monkeypatch.setattr(sharded.Training, "__init__", noted)
    monkeypatch.setattr(torch.distributed, "reduce_scatter_single", counted)
    return seen, sent


def averaged(training: sharded.Training) -> dict[str, torch.Tensor]:
    """The teacher's whole weights, gathered in every process."""
    names = [name for name, _ in training.backbone.transformer.named_parameters()]
    return {n: p.full_tensor() for n, p in zip(names, training.teacher.parameters, strict=True)}


@pytest.fixture
def launched(all_settings, train_settings, concept_set, features, tmp_path, monkeypatch):
    """Runs a training in so many processes -> what it said, and its folder."""

    def launch(processes: int, work: str, shards: bool = True, stop: int = 0, decay: float = 0.9999, **changes):
        how = {"tune": "full", "steps": 3, "checkpoints": (), "batch_size": 2, "accumulation": 1} | changes
        dtype = how.pop("dtype", "float32")
        settings = all_settings["zimage"].model_copy(update={"dtype": dtype})
        options = train_settings.model_copy(update=how)
        (folder := tmp_path / work).mkdir(exist_ok=True)

        def trained() -> tuple[int, str, str]:
            seen, sent = watched(monkeypatch)
            if stop:
                monkeypatch.setattr(sharded.Training, "anyone", lambda self, asked: asked or self.step == stop)
            torch.manual_seed(0)
            given = backbones.load(settings), read_set(concept_set), tiny.method("dopsd", ema=decay), options
            named = {"seed": 3, "learning_rate": 1e-3, "work": folder, "name": "test", "cache": features / dtype}
            try:
                done = (sharded.train if shards else loop.train)(*given, **named, preview=NONE)
            except Stopped as error:
                done = f"stopped: {error}"
            if seen and seen[0].teacher:
                whole = averaged(seen[0])
                if PartialState().is_main_process:
                    torch.save(whole, folder / f"teacher-{processes}.pt")
            return PartialState().num_processes, "".join(str(sent.count(step)) for step in range(3)), str(done)

        said = forks.launched(processes, trained, tmp_path)
        ((n, sent, done),) = {tuple(answer) for answer in said}  # all processes say the same
        assert n == processes
        return Ran(done, sent, folder)

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
    whole, two = launched(1, "whole", shards=False), launched(2, "two")
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
