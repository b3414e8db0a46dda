"""LoRA adapters on a backbone's transformer, by peft: added, switched, saved as the pipeline's own file, loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.lora.layer import Linear
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor, nn

from dopsd.config.train import Train
from dopsd.support.errors import UserError

STUDENT, TEACHER = "student", "teacher"
FILE = "pytorch_lora_weights.safetensors"


class Narrow(Linear):
    """peft's layer for one adapter, with alpha / r where it costs nothing: on the r numbers a token, not on the layer's whole
    width, of which the backward pass would write all gradients a second time."""

    def forward(self, x: Tensor) -> Tensor:
        result = self.base_layer(x)
        if self.disable_adapters:
            return result
        (name,) = self.active_adapters
        a, b = self.lora_A[name], self.lora_B[name]
        return (result + b(a(x.to(a.weight.dtype)) * self.scaling[name])).to(result.dtype)  # pyright: ignore[reportCallIssue, reportArgumentType] - a layer's weight is a tensor


def add(transformer: Any, name: str, settings: Train, seed: int) -> list[nn.Parameter]:
    """Add an adapter, make it the active one and return its parameters, in float32 whatever the transformer's type is.

    transformer: as in `Backbone.transformer`. Gaussian A and zero B (the release's initialisation): an adapter that
    has not been trained changes nothing. Raises UserError where no layer has one of the target names.
    """
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,  # pyright: ignore[reportArgumentType] - peft takes any number, and says int
        init_lora_weights="gaussian",
        target_modules=list(settings.lora_targets),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            transformer.add_adapter(config, adapter_name=name)
        except ValueError as error:
            raise UserError(f"params.yaml: train.lora_targets: {str(error).splitlines()[0]}") from None
    for layer in transformer.modules():
        if type(layer) is Linear:
            layer.__class__ = Narrow
    for p in parameters(transformer, name):
        p.data = p.data.float()
    transformer.set_adapter(name)
    return parameters(transformer, name)


def parameters(transformer: Any, name: str) -> list[nn.Parameter]:
    """The adapter's parameters, in the order of the module tree."""
    return [p for key, p in transformer.named_parameters() if f".{name}." in key and "lora_" in key]


def layers(transformer: Any) -> dict[str, BaseTunerLayer]:
    """The layers that carry adapters, by name."""
    return {name: m for name, m in transformer.named_modules() if isinstance(m, BaseTunerLayer)}


@contextmanager
def active(transformer: Any, name: str) -> Iterator[None]:
    """Let another adapter speak for a while, without a graph, then the student again.

    The attribute that the layers read, in place of `set_adapter`: that walks all modules and turns `requires_grad` on and
    off in each, eight times a step, and the other adapter is never to be trained.
    """
    carriers = layers(transformer).values()

    def speak(names: list[str]) -> None:
        for layer in carriers:
            layer._active_adapter = names  # one list for all, as peft does: compiled blocks guard on that

    speak([name])
    try:
        yield
    finally:
        speak([STUDENT])


def weights(transformer: Any, name: str) -> dict[str, Tensor]:
    """The adapter's weights by layer, on the CPU, without the adapter's name."""
    state = get_peft_model_state_dict(transformer, adapter_name=name)
    return {key: value.detach().cpu().contiguous() for key, value in state.items()}


def exported(transformer: Any) -> tuple[dict[str, Tensor], dict]:
    """The student's weights, and its settings (rank, alpha, layers) in plain values: what a LoRA file holds."""
    settings = transformer.peft_config[STUDENT].to_dict()
    plain = {k: sorted(v) if isinstance(v, set) else v for k, v in settings.items()}
    return weights(transformer, STUDENT), plain


def restore(transformer: Any, name: str, state: dict[str, Tensor]) -> None:
    """Put weights back into an adapter that is there; ValueError where names or shapes differ."""
    result = set_peft_model_state_dict(transformer, state, adapter_name=name)
    missing = [k for k in getattr(result, "missing_keys", []) if f".{name}." in k]
    if missing or getattr(result, "unexpected_keys", []):
        raise ValueError(f"adapter {name}: {len(missing)} layers are missing, e.g. {missing[:2]}")


def load(transformer: Any, folder: Path, merge: bool = True) -> None:
    """Put the adapter saved in a folder on the transformer, in place of one that was loaded before: for drawing.

    merge: into the weights, which saves two small products a layer; quantized weights cannot take it.
    """
    file = folder / FILE
    if not file.exists():
        raise UserError(
            f"{file}: the adapter is missing; name the folder of a finished training, or run `dvc repro` first"
        )
    if STUDENT in getattr(transformer, "peft_config", {}):
        if merge:
            transformer.unfuse_lora()
        transformer.delete_adapters(STUDENT)
    try:
        transformer.load_lora_adapter(folder, weight_name=FILE, prefix="transformer", adapter_name=STUDENT)
    except (RuntimeError, ValueError, OSError) as error:
        raise UserError(f"{file}: does not fit this model ({str(error).splitlines()[0]}); train it again") from None
    transformer.requires_grad_(False)
    if merge:
        transformer.fuse_lora(adapter_names=[STUDENT])
