"""A small velocity, and batches for it."""

import torch

from dopsd.objectives import Batch

GRID = torch.tensor([0.0, 0.1, 0.25, 0.5, 1.0])


def batch(n: int = 3) -> Batch:
    g = torch.Generator().manual_seed(0)
    x0, noise = torch.randn(n, 2, 4, 4, generator=g), torch.randn(n, 2, 4, 4, generator=g)
    times = torch.rand(n, generator=g)
    student = list(torch.randn(n, 5, 6, generator=g))
    teacher = list(torch.randn(n, 9, 6, generator=g))
    return Batch(x0, noise, times, student, teacher, GRID)


class Net(torch.nn.Module):
    """A velocity that depends on state, time and context."""

    def __init__(self, seed: int = 0):
        super().__init__()
        torch.manual_seed(seed)
        self.mix, self.read = torch.nn.Conv2d(2, 2, 1), torch.nn.Linear(6, 2)

    def forward(self, x, t, context):
        told = torch.stack([self.read(c.mean(0)) for c in context])[:, :, None, None]
        return self.mix(x) * (1 + t[:, None, None, None]) + told


def gradients(net: Net) -> list[torch.Tensor]:
    return [p.grad.clone() for p in net.parameters()]


def further(n: int, seed: int = 7) -> tuple:
    """n more pairs of noise and times of a batch."""
    g = torch.Generator().manual_seed(seed)
    return tuple((torch.randn(3, 2, 4, 4, generator=g), torch.rand(3, generator=g)) for _ in range(n))
