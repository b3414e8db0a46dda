"""A field of two weights in the place of a backbone, whose every step can be computed beside it."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import tiny
import torch
from PIL import Image
from safetensors.torch import save_file

from dopsd.method.context import Condition
from dopsd.objectives import Batch
from dopsd.sets.items import Item
from dopsd.training import results, state
from dopsd.training.encoded import Visit
from dopsd.training.loop import Training

RATE = 0.01


class Field:
    """v = w x + what the context says, times b; all that a training asks of a backbone."""

    device, dtype = torch.device("cpu"), torch.float32
    settings = SimpleNamespace(quantize="none")

    def __init__(self):
        self.transformer = torch.nn.Linear(1, 1)
        with torch.no_grad():
            self.transformer.weight.fill_(0.5)
            self.transformer.bias.fill_(1.0)

    def velocity(self, x, t, context):
        told = torch.stack([c.features.mean() for c in context])[:, None, None, None]
        return self.transformer.weight * x + self.transformer.bias * told

    def step_grid(self, steps, size):
        assert tuple(size) == (2, 3)
        return torch.linspace(0, 1, steps + 1)

    def random_times(self, n, size, generator):
        assert tuple(size) == (2, 3)
        return torch.rand(n, generator=generator)


class Visits:
    """Eight visits, told apart by the number in their latents."""

    def draw(self, n, rng):
        return [visit(rng.randrange(8)) for _ in range(n)]


class Settings(SimpleNamespace):
    def model_dump(self, exclude=()):
        return {k: v for k, v in vars(self).items() if k not in exclude}


class Model:
    """A backbone whose transformer is one linear layer, and whose encoders are a line each: a training takes moments."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, **settings):
        self.settings = Settings(quantize="none", **settings)
        self.transformer = torch.nn.Linear(1, 1)
        self.transformer.save_pretrained = lambda folder: (
            folder.mkdir(),
            save_file(self.transformer.state_dict(), folder / "model.safetensors"),
        )
        with torch.no_grad():
            self.transformer.weight.fill_(0.5)
            self.transformer.bias.fill_(1.0)
        self.asked = []

    def encode(self, images):
        return images.mean((2, 3), keepdim=True)

    def context(self, prompts, images=None, references=None):
        self.asked.append("seen" if images else "text")
        return [Condition(torch.full((1, 1), 2.0 if images else 1.0))] * len(prompts)

    def free_encoders(self):
        pass

    def velocity(self, x, t, context):
        told = torch.stack([c.features.mean() for c in context])[:, None, None, None]
        return self.transformer.weight * x + self.transformer.bias * told

    def step_grid(self, steps, size):
        return torch.linspace(0, 1, steps + 1)

    def random_times(self, n, size, generator):
        return torch.rand(n, generator=generator)


def picture(folder: Path, name: str = "a.png", colour: str = "red") -> Item:
    """A picture of one colour and one caption."""
    Image.new("RGB", (16, 16), colour).save(folder / name)
    return Item(folder / name, (16, 16), {"short_en": "one"}, "corgi")


WRITTEN = [
    "identity.json",
    "loss.csv",
    "step-0002",
    "step-0004",
    "time.json",
]  # by a training of 4 steps, kept at 2 and 4


def result(folder: Path) -> dict[str, bytes]:
    """Every file of a finished training but its states and the time that it took."""
    found = (f for f in sorted(folder.rglob("*")) if f.is_file() and f.name not in (results.TIME_FILE, state.FILE))
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in found if "state-" not in str(f)}


def in_a_child(work: Callable[[], object]) -> int:
    """The exit status of a process that does some work."""
    if (child := os.fork()) == 0:
        try:
            work()
        except BaseException:
            os._exit(8)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def visit(i: int) -> Visit:
    teacher = Condition(torch.full((3, 4), i + 0.5))
    return Visit(torch.full((1, 2, 3), float(i)), Condition(torch.full((2, 4), float(i))), teacher)


def batch(n: int = 2, seed: int = 0) -> Batch:
    g = torch.Generator().manual_seed(seed)
    x0, noise = torch.randn(n, 1, 2, 3, generator=g), torch.randn(n, 1, 2, 3, generator=g)
    student = [Condition(torch.full((2, 4), 1.0 + i)) for i in range(n)]
    teacher = [Condition(torch.full((3, 4), 3.0 - i)) for i in range(n)]
    return Batch(x0, noise, torch.rand(n, generator=g), student, teacher, torch.tensor([0.0, 0.3, 1.0]))


def settings(train_settings):
    """Of a training of all weights."""
    return train_settings.model_copy(
        update={"tune": "full", "clip": 0.5, "betas": (0.8, 0.9), "weight_decay": 0.1, "batch_size": 2}
    )


def training(options, method="dopsd", rate=RATE, **changes) -> Training:
    return Training(Field(), tiny.method(method, **changes), options, 0, rate)


def numbers(parameters) -> list[float]:
    return torch.cat([p.detach().flatten() for p in parameters]).tolist()
