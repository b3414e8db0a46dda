"""Self-distillation off-policy: D-OPSD's teacher and targets on noised data, at the times that the roll-out visits. What it
does otherwise than D-OPSD is whose states are looked at, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from dopsd.method import flow
from dopsd.objectives import Batch, Field, dopsd

SAYS = "self-distillation off-policy, on noised data"
LABEL = "Off-policy"
Settings = dopsd.Settings
needs = dopsd.needs


def loss(student: Field, teacher: Field, batch: Batch, settings: dopsd.Settings) -> Iterator[Tensor]:
    """K losses ||u_s - sg(u_t)||^2 / K, as D-OPSD's, at x_k = (1 - t_k) e + t_k x_0 in place of the visited states."""
    steps = len(batch.grid) - 1
    for now in batch.grid[:-1].to(batch.noise.device):
        t = now.expand(len(batch.noise))
        x = flow.interpolate(batch.latents, batch.noise, t)
        u_s = student(x, t, batch.student_context)
        yield dopsd.distance(x, t, u_s, teacher, batch, settings.loss) / steps
