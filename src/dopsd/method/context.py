"""What a generator reads: the student's c_s = f_text(y), the teacher's c_t = f_mm(y, x0) (arXiv 2605.05204)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Condition:
    """What the generator reads for one sample. features (length, width): hidden states of the text encoder; references:
    clean latents (C, h, w) of pictures that it sees beside the text, where the model has an edit branch."""

    features: Tensor
    references: tuple[Tensor, ...] = ()


Context = list[Condition]  # one a sample; lengths differ
