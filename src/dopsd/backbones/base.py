"""The contract: all that training, roll-out, probe and evaluation know of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from PIL.Image import Image
from torch import Tensor

from dopsd.config.backbone import Model
from dopsd.method import flow
from dopsd.method.context import Context


@dataclass(frozen=True)
class Reading:
    """What of a prompt is read. tokens: of all that the prompt is put into, with the picture's where one is seen; limit: how
    many of them are read, the first; kept: the part of the prompt that is among these."""

    tokens: int
    limit: int
    kept: str


class Backbone(ABC):
    """A few-step generator with its encoders. Latents x (n, C, h, w) are float32; t (n,) is 0 at noise and 1 at data."""

    device: torch.device
    dtype: torch.dtype  # what the generator computes in
    scheduler: Any  # the pipeline's own
    comfy: ClassVar[str]  # what ComfyUI's LoRA loader expects before diffusers' layer names (its comfy/lora.py)

    @abstractmethod
    def __init__(self, settings: Model):
        """Open it; UserError where weights are missing or do not fit."""

    @property
    @abstractmethod
    def settings(self) -> Model:
        """The section `backbone` of params.yaml or of a preset."""

    @property
    @abstractmethod
    def transformer(self) -> Any:
        """What is tuned; it carries the adapters, or is swapped for the teacher's copy. Any: the methods that training needs
        come from mixins of diffusers and peft, which no type of torch knows."""

    @transformer.setter
    @abstractmethod
    def transformer(self, module: Any) -> None:
        """None: opened anew at the next use."""

    @property
    @abstractmethod
    def tokenizer(self) -> Any:
        """Of the text encoder, which is not opened for it."""

    @abstractmethod
    def reads(self, prompt: str) -> Reading:
        """What the student reads of a prompt, as does the model that draws. The encoders are not opened."""

    @abstractmethod
    def teacher_reads(self, prompt: str, size: tuple[int, int], edited: bool = False) -> Reading:
        """What the teacher reads of a prompt beside a picture of this size (height, width). edited: it sees input pictures,
        too. UserError where it would refuse to. The encoders are not opened."""

    @property
    @abstractmethod
    def text(self) -> tuple[Any, Any]:
        """Tokenizer and text encoder."""

    @abstractmethod
    def context(
        self,
        prompts: Sequence[str],
        images: Sequence[Image] | None = None,
        layer: int | None = None,
        references: Sequence[Sequence[Image]] | None = None,
    ) -> Context:
        """What the generator reads. Without images: c_s = f_text(y), the student's. With one target image a prompt:
        c_t = f_mm(y, x0), the teacher's, from the encoder's hidden_states[layer] (None: the backbone's own).

        references: the editing task's input pictures of each prompt, which student and teacher see alike; UserError where
        the model has no edit branch.
        """

    @abstractmethod
    def velocity(self, x: Tensor, t: Tensor, context: Context) -> Tensor:
        """v = dx/dt at (x, t) under the transformer's active weights: x (n, C, h, w), t (n,) -> (n, C, h, w), float32."""

    @abstractmethod
    def encode(self, images: Tensor) -> Tensor:
        """Images (n, 3, H, W) in [-1, 1] -> clean latents (n, C, h, w), the posterior's mode."""

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Latents (n, C, h, w) -> images (n, 3, H, W) in [-1, 1]."""

    @abstractmethod
    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(C, h, w) of an image of this size in pixels; ValueError where the model cannot draw it."""

    @abstractmethod
    def layers(self) -> list[str]:
        """The names of the transformer's linear layers, of which a LoRA tunes some. Its weights are not opened."""

    @abstractmethod
    def opened(self, kind: str) -> Any:
        """Another transformer with the untouched weights, kept or multiplied as this kind of `quantize` says."""

    @abstractmethod
    def free_encoders(self) -> None:
        """Give back the memory of the text encoder and of the VLM; `context` loads them again when asked."""

    @classmethod
    @abstractmethod
    def save_lora(cls, folder: Path, layers: dict[str, Tensor], settings: dict, name: str | None = None) -> None:
        """Write an adapter's weights, with its rank and alpha in `settings`, as the pipeline's own LoRA file. name: of the
        file; the usual one if not given."""

    def shift(self, steps: int, size: Sequence[int]) -> float | None:
        """mu of a scheduler that shifts by the picture's size, in `steps` steps; None where its shift is fixed."""
        return None

    def step_grid(self, steps: int, size: Sequence[int]) -> Tensor:
        """The times of a roll-out in `steps` steps, from the scheduler: (steps + 1,), 0 to 1. size: (h, w) of latents."""
        return flow.step_grid(self.scheduler, steps, self.shift(steps, size))

    @abstractmethod
    def random_times(self, n: int, size: Sequence[int], generator: torch.Generator) -> Tensor:
        """Times for flow matching on data: uniform, bent by the scheduler's shift: (n,) in [0, 1)."""
