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
from dopsd.support import sealed
from dopsd.support.errors import UserError, told
from dopsd.support.text import json_object
from dopsd.training.tensors import check_finite
from dopsd.training.tensors import read as tensors_of

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
            raise UserError(f"params.yaml: train.lora_targets: {told(error)}") from None
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


def read(folder: Path) -> tuple[dict[str, Tensor], dict]:
    """A folder's LoRA -> (its weights by layer, without the transformer's prefix; its peft settings, empty where the file
    does not say). UserError where it is missing, damaged, of another kind, or where a number in it is none."""
    file = folder / FILE
    if not file.exists():
        raise UserError(
            f"{file}: the adapter is missing; name the folder of a finished training, or run `dvc repro` first"
        )
    if sealed.sealed(folder):
        sealed.check(folder)
    tensors, metadata = tensors_of(file)
    prefix = "transformer."
    weights = {k.removeprefix(prefix): v for k, v in tensors.items()}
    odd = [k for k in tensors if not (k.startswith(prefix) and k.endswith((".lora_A.weight", ".lora_B.weight")))]
    if odd or not weights:
        said = f"{odd[0]} is no name of a LoRA on a transformer, as diffusers writes it" if odd else "no tensors"
        raise UserError(f"{file}: {said}; give a folder that a training or `dopsd export` wrote")
    check_finite(tensors, file, "train it again, with a lower learning rate")
    plain = json_object(metadata.get("lora_adapter_metadata", "{}"), f"{file}: its metadata")
    return weights, {k.removeprefix(prefix): v for k, v in plain.items()}


def _check_fits(transformer: Any, weights: dict[str, Tensor], settings: dict, file: Path) -> None:
    """UserError where tensors name layers that are not there, have other shapes, miss their half, or where a layer that the
    file says it tunes has none."""
    layers = {n: m for n, m in transformer.named_modules() if isinstance(m, nn.Linear) and ".lora_" not in n}
    layers = {n.removesuffix(".base_layer"): m for n, m in layers.items()}
    there = {k.rsplit(".lora_", 1)[0] for k in weights}
    wrong = [f"{n}: this model has no such layer" for n in sorted(there - layers.keys())]
    for name in sorted(there & layers.keys()):
        a, b = (weights.get(f"{name}.lora_{half}.weight") for half in "AB")
        wide, out = layers[name].in_features, layers[name].out_features
        if a is None or b is None:
            wrong.append(f"{name}: lora_{'A' if a is None else 'B'} is missing")
        elif a.shape != (b.shape[-1], wide) or b.shape != (out, a.shape[0]):
            wrong.append(f"{name}: {tuple(b.shape)} x {tuple(a.shape)}, where the layer is ({out}, {wide})")
        elif settings.get("r", a.shape[0]) != a.shape[0]:
            wrong.append(f"{name}: rank {a.shape[0]}, where the file says {settings['r']}")
    targets = settings.get("target_modules") or []
    tuned = {n for n in layers if any(n == t or n.endswith(f".{t}") for t in targets if isinstance(targets, list))}
    wrong += [f"{n}: missing, though the file says that it is tuned" for n in sorted(tuned - there)]
    if wrong:
        raise UserError(
            f"{file}: does not fit this model: {len(wrong)} of {len(there | tuned)} layers ({wrong[0]}); choose the model "
            "that it was trained on, or train it again"
        )


def load(transformer: Any, folder: Path, merge: bool = True) -> int:
    """Put the adapter saved in a folder on the transformer, in place of one that was loaded before: for drawing -> how many
    tensors were put there, all of the file's. UserError where some cannot be, see `read`.

    merge: into the weights, which saves two small products a layer; quantized weights cannot take it.
    """
    file = folder / FILE
    given, settings = read(folder)
    _check_fits(transformer, given, settings, file)
    if STUDENT in getattr(transformer, "peft_config", {}):
        if merge:
            transformer.unfuse_lora()
        transformer.delete_adapters(STUDENT)
    try:
        transformer.load_lora_adapter(folder, weight_name=FILE, prefix="transformer", adapter_name=STUDENT)
    except (RuntimeError, ValueError, OSError) as error:
        raise UserError(f"{file}: does not fit this model ({told(error)}); train it again") from None
    applied = weights(transformer, STUDENT)
    lost = [k for k in given if k not in applied or not torch.equal(applied[k], given[k].to(applied[k].dtype))]
    if lost or len(applied) != len(given):
        raise UserError(
            f"{file}: {len(given) - len(lost)} of {len(given)} tensors could be put on this model; train it again"
        )
    transformer.requires_grad_(False)
    if merge:
        transformer.fuse_lora(adapter_names=[STUDENT])
    return len(given)
