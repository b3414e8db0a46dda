"""Which weights are tuned: a LoRA on the transformer, or all of it. What training and teacher need to know of either."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from dopsd.backbones.base import Backbone
from dopsd.backbones.quantized import Fp8Linear, multiply_in_fp8
from dopsd.config.backbone import Model
from dopsd.config.train import Train
from dopsd.support import sealed
from dopsd.support.errors import UserError, told
from dopsd.training import lora
from dopsd.training.merge import HEADROOM, merge
from dopsd.training.tensors import check_finite

WHOLE = "transformer"  # the folder of a fully tuned transformer in a checkpoint


def fits(model: Model, settings: Train) -> None:
    """UserError where weights that are kept as `model.quantize` says cannot be tuned so."""
    kind = model.quantize
    if settings.merged_teacher and kind not in ("none", "fp8"):
        raise UserError(f"train.merged_teacher needs backbone.quantize none or fp8: {kind} is there to save memory")
    if settings.tune == "full" and kind != "none":
        raise UserError("train.tune full needs backbone.quantize none: quantized weights cannot be trained")


class Weights(ABC):
    """The student's weights in float32 (`parameters`), and room for a second set of the same shape, the teacher's."""

    parameters: list[nn.Parameter]

    @property
    def trained(self) -> list[nn.Parameter]:
        """What backward gives gradients to: `parameters`, or what speaks for them on the GPU."""
        return self.parameters

    def gather(self) -> None:  # noqa: B027 - nothing to do is the usual case
        """Bring the gradients to `parameters`, where they are not there already."""

    def scatter(self) -> None:  # noqa: B027
        """Let the student speak with what an optimiser step made of `parameters`."""

    @abstractmethod
    def add_teacher(self) -> list[Tensor]:
        """Make the second set, equal to the student's, and return it, in float32: write to it, then `refresh`."""

    @abstractmethod
    def refresh(self) -> None:
        """Let the teacher speak with what was written to its weights."""

    @abstractmethod
    def teacher(self) -> AbstractContextManager[None]:
        """A context manager within which the backbone's velocity is the teacher's."""

    @abstractmethod
    def state(self) -> dict[str, dict[str, Tensor]]:
        """All weights, to go on from."""

    @abstractmethod
    def restore(self, state: dict[str, dict[str, Tensor]]) -> None:
        """Put `state()` back."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the student's weights into an empty folder, as diffusers reads them."""


@contextmanager
def speaking(backbone: Backbone, speaker: nn.Module) -> Iterator[None]:
    """Let another transformer be the backbone's for a while."""
    student, backbone.transformer = backbone.transformer, speaker
    try:
        yield
    finally:
        backbone.transformer = student


class Adapter(Weights):
    """A LoRA: the teacher is a second adapter on the same frozen transformer."""

    def __init__(self, backbone: Backbone, settings: Train, seed: int):
        self.backbone, self.settings, self.seed = backbone, settings, seed
        self.parameters = lora.add(backbone.transformer, lora.STUDENT, settings, seed)

    def add_teacher(self) -> list[Tensor]:
        theirs = lora.add(self.backbone.transformer, lora.TEACHER, self.settings, self.seed)
        for a, b in zip(theirs, self.parameters, strict=True):
            a.data.copy_(b.data)
        self.backbone.transformer.set_adapter(lora.STUDENT)
        return [p.data for p in theirs]

    def refresh(self) -> None:
        """The adapter is what was written to."""

    def teacher(self) -> AbstractContextManager[None]:
        return lora.active(self.backbone.transformer, lora.TEACHER)

    def state(self) -> dict[str, dict[str, Tensor]]:
        transformer = self.backbone.transformer
        return {
            name: lora.weights(transformer, name)
            for name in (lora.STUDENT, lora.TEACHER)
            if name in transformer.peft_config
        }

    def restore(self, state: dict[str, dict[str, Tensor]]) -> None:
        for name, weights in state.items():
            lora.restore(self.backbone.transformer, name, weights)

    def save(self, folder: Path) -> None:
        self.backbone.save_lora(folder, *lora.exported(self.backbone.transformer))


class Merged(Adapter):
    """A LoRA whose teacher has weights of its own, w + (alpha / r) b a: its passes cost nothing for the adapter, and memory
    holds the weights once more (under fp8 one and a half times: w in bf16, from which it is merged, and what it speaks with).

    The average itself stays an adapter in float32, as in `Adapter`; after every step it is merged anew, in place.
    """

    def add_teacher(self) -> list[Tensor]:
        theirs = super().add_teacher()
        self._speaker = self.backbone.opened("none")
        layers = lora.layers(self.backbone.transformer)
        plain = {name: self._speaker.get_submodule(name).weight.data for name in layers}
        if self.backbone.settings.quantize == "fp8":
            multiply_in_fp8(self._speaker, backward=False)
        self._merges = []
        for name, layer in layers.items():
            own = self._speaker.get_submodule(name)
            if isinstance(own, Fp8Linear):
                own.scales *= HEADROOM  # pyright: ignore[reportOperatorIssue] - buffers are tensors
                out, scales, weight = own.codes, own.scales, plain[name]
            else:
                out, scales, weight = own.weight.data, None, layer.get_base_layer().weight.data
            a, b = (getattr(layer, f"lora_{x}")[lora.TEACHER].weight.data for x in "AB")
            self._merges.append((out, scales, weight, a, b, layer.scaling[lora.TEACHER]))  # pyright: ignore[reportAttributeAccessIssue] - of LoRA layers
        self.refresh()
        return theirs

    @torch.no_grad()
    def refresh(self) -> None:
        for arguments in self._merges:
            merge(*arguments)

    def teacher(self):
        return speaking(self.backbone, self._speaker)

    def restore(self, state: dict[str, dict[str, Tensor]]) -> None:
        super().restore(state)
        if lora.TEACHER in state:
            self.refresh()


class Whole(Weights):
    """Full fine-tuning: master weights in float32; the teacher is a copy in the type that the backbone computes in, with
    its own float32 master, so that an EMA of .9999 does not round away."""

    def __init__(self, backbone: Backbone, settings: Train, seed: int):
        self.backbone, self.settings = backbone, settings
        self.parameters = self._masters()
        self._speaker: Any = None  # until `add_teacher`
        self._master: list[Tensor] = []

    def _masters(self) -> list[nn.Parameter]:
        return list(self.backbone.transformer.float().requires_grad_(True).parameters())

    def add_teacher(self) -> list[Tensor]:
        self._speaker = copy.deepcopy(self.backbone.transformer).requires_grad_(False).to(self.backbone.dtype)
        where = self.parameters[0].device
        own = list(self._speaker.parameters())
        if own[0].dtype == torch.float32 and own[0].device == where:
            self._master = [p.data for p in own]
        else:
            self._master = [p.detach().to(where, copy=True) for p in self.parameters]
        return self._master

    @torch.no_grad()
    def refresh(self) -> None:
        for p, master in zip(self._speaker.parameters(), self._master, strict=True):
            p.copy_(master)

    def teacher(self):
        return speaking(self.backbone, self._speaker)

    def state(self) -> dict[str, dict[str, Tensor]]:
        def kept(values: Sequence[Tensor]) -> dict[str, Tensor]:
            names = [name for name, _ in self.backbone.transformer.named_parameters()]
            return {n: v.detach().cpu() for n, v in zip(names, values, strict=True)}

        teacher = {lora.TEACHER: kept(self._master)} if self._master else {}
        return {lora.STUDENT: kept(self.parameters)} | teacher

    @torch.no_grad()
    def restore(self, state: dict[str, dict[str, Tensor]]) -> None:
        for p, value in zip(self.parameters, state[lora.STUDENT].values(), strict=True):
            p.copy_(value)
        if self._master:
            for master, value in zip(self._master, state[lora.TEACHER].values(), strict=True):
                master.copy_(value)
            self.refresh()
        self.scatter()

    def save(self, folder: Path) -> None:
        self.backbone.transformer.save_pretrained(folder / WHOLE)


class Offloaded(Whole):
    """Full fine-tuning with all that is float32 on the CPU: masters, optimiser and the teacher's EMA. The GPU holds student,
    teacher and gradients in the type that the backbone computes in: 6 bytes a weight in bf16 in place of 22."""

    def _masters(self) -> list[nn.Parameter]:
        transformer, pinned = self.backbone.transformer.requires_grad_(True), self.backbone.device.type == "cuda"
        self._spoken = list(transformer.parameters())
        copies = [p.detach().to("cpu", torch.float32, copy=True) for p in self._spoken]
        self._gradients = [torch.empty(p.shape, pin_memory=pinned) for p in copies]
        return [nn.Parameter(p) for p in copies]

    @property
    def trained(self) -> list[nn.Parameter]:
        return self._spoken

    def gather(self) -> None:
        for master, mine, spoken in zip(self.parameters, self._gradients, self._spoken, strict=True):
            if spoken.grad is not None:
                master.grad = mine.copy_(spoken.grad)
                spoken.grad.zero_()

    @torch.no_grad()
    def scatter(self) -> None:
        for master, spoken in zip(self.parameters, self._spoken, strict=True):
            spoken.copy_(master)


def begin(backbone: Backbone, settings: Train, seed: int) -> Weights:
    """Make the weights that `settings.tune` names ready for training."""
    fits(backbone.settings, settings)
    kinds = {"lora": Merged if settings.merged_teacher else Adapter, "full": Offloaded if settings.offload else Whole}
    return kinds[settings.tune](backbone, settings, seed)


def put(backbone: Backbone, folder: Path) -> int:
    """Put a checkpoint's weights on the backbone, in place of one that was put there before: for drawing -> how many tensors
    were put there. UserError where they are missing, damaged, not finite or do not fit: see `lora.load`."""
    whole = folder / WHOLE
    if not whole.exists():
        return lora.load(backbone.transformer, folder, merge=backbone.settings.quantize == "none")
    if sealed.sealed(folder):
        sealed.check(folder)
    try:
        found, info = type(backbone.transformer).from_pretrained(whole, use_safetensors=True, output_loading_info=True)
        if odd := [*info["missing_keys"], *info["unexpected_keys"]]:
            raise ValueError(f"{len(odd)} tensors are missing or unknown, e.g. {odd[0]}")
        weights = found.state_dict()
        check_finite(weights, whole, "train it again, with a lower learning rate")
        backbone.transformer.load_state_dict(weights)
    except (RuntimeError, ValueError, OSError, SafetensorError) as error:
        raise UserError(f"{whole}: does not fit this model ({told(error)}); train it again") from None
    return len(weights)
