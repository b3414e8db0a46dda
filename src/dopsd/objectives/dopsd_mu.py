"""D-OPSD with each state weighted by the square of the step that is taken there: how far the sampler would be led astray, as
others weight it (arXiv 2609.36638)."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from dopsd.method.rollout import rollout
from dopsd.objectives import Batch, Field, dopsd

SAYS = "on-policy self-distillation, each state weighted by the square of its step"
LABEL = "D-OPSD, mu"
Settings = dopsd.Settings
needs = dopsd.needs


def loss(student: Field, teacher: Field, batch: Batch, settings: dopsd.Settings) -> Iterator[Tensor]:
    """K losses w_k ||u_s - sg(u_t)||^2, w_k = (t_{k+1} - t_k)^2 over their sum, so that equal steps give D-OPSD's mean.

    settings.loss is not asked: velocities are compared.
    """
    lengths = batch.grid.diff().square()
    weights = lengths / lengths.sum()
    states = rollout(lambda x, t: student(x, t, batch.student_context), batch.noise, batch.grid)
    for state, weight in zip(states, weights.to(batch.noise.device), strict=True):
        yield dopsd.distance(state.x, state.t, state.v, teacher, batch, "velocity") * weight
