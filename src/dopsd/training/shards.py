"""A model's weights shared out among processes, by FSDP2: no process holds it whole.

Weights, gradients, Adam's moments and the teacher's EMA are float32, each process holding its share. Blocks are gathered in
the type that the backbone computes in while they are run, and gradients are reduced in float32.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from dopsd.backbones.base import Backbone
from dopsd.config.train import Train
from dopsd.training import lora
from dopsd.training.weights import WHOLE, Whole


def mesh_of(device: torch.device) -> DeviceMesh:
    """All processes of the launcher; without one, this process is a group of its own."""
    if not dist.is_initialized():
        kind = "nccl" if device.type == "cuda" else "gloo"
        store = dist.HashStore()  # pyright: ignore[reportPrivateImportUsage] - documented
        dist.init_process_group(kind, store=store, rank=0, world_size=1)
    return init_device_mesh(device.type, (dist.get_world_size(),))


def shard(module: nn.Module, mesh: DeviceMesh, dtype: torch.dtype) -> FSDPModule:
    """Share a module's weights out, block by block: gathered in `dtype` for a pass and let go after it.

    The root lets go, too, which FSDP2 does not make it do: having had no backward pass, the teacher would go on with what it
    gathered before its EMA moved. Inputs keep their type, as without shards: times in bf16 would be coarse.
    """
    policy = MixedPrecisionPolicy(dtype, torch.float32, cast_forward_inputs=False)
    names = getattr(module, "_repeated_blocks", None) or ()  # what diffusers' models call their blocks
    for part in [*(m for m in module.modules() if type(m).__name__ in names), module]:
        fully_shard(part, mesh=mesh, mp_policy=policy, reshard_after_forward=True)
    return cast(FSDPModule, module)


def _hollow(module: nn.Module) -> Any:
    """A copy of a module whose weights take no memory."""
    weights: dict[int, Any] = {
        id(p): nn.Parameter(torch.empty_like(p, device="meta"), False) for p in module.parameters()
    }
    return copy.deepcopy(module, weights)


class Shards(Whole):
    """The student's masters and the teacher's EMA in float32, of each weight this process's share. The teacher speaks with
    the EMA itself, gathered in the type that the backbone computes in."""

    def __init__(self, backbone: Backbone, settings: Train, seed: int):
        self.mesh = mesh_of(backbone.device)
        self._collected: dict[str, Any] = {}
        super().__init__(backbone, settings, seed)

    def _masters(self) -> list[nn.Parameter]:
        student = self.backbone.transformer
        self._empty = _hollow(student)
        self.student = shard(student, self.mesh, self.backbone.dtype)
        self.student.set_manual_backward_finalization(True)
        self.student.set_requires_gradient_sync(False)
        return super()._masters()

    def synchronise(self) -> None:
        """Average over the processes what all backward passes since the last call have added up, each process getting its
        share of it. (DDP's no_sync, and FSDP's, would want to know of a backward pass beforehand that it is the last.)"""
        self.student.set_requires_gradient_sync(True)
        self.student.finalize_backward()
        self.student.set_requires_gradient_sync(False)

    def add_teacher(self) -> list[Tensor]:
        self._speaker = copy.deepcopy(self._empty)
        shard(self._speaker, self.mesh, self.backbone.dtype)
        mine = {name: p.detach().clone() for name, p in self.backbone.transformer.named_parameters()}
        self._speaker.load_state_dict(mine, assign=True, strict=False)  # buffers came with the copy
        self._master = list(self._speaker.requires_grad_(False).parameters())
        return self._master

    def refresh(self) -> None:
        """What was written to is what the next pass gathers."""

    def state(self) -> dict[str, dict[str, Tensor]]:
        """All weights as shards, in the memory where they are: what is read into them is restored."""
        each = {lora.STUDENT: self.backbone.transformer, lora.TEACHER: self._speaker}
        return {name: {n: p.detach() for n, p in m.named_parameters()} for name, m in each.items() if m}

    @torch.no_grad()
    def restore(self, state: dict[str, dict[str, Tensor]]) -> None:
        for name, mine in self.state().items():
            for key, p in mine.items():
                p.copy_(state[name][key])

    def collect(self) -> None:
        """Gather the student in whole on the CPU of the first process, for its next `save`. All processes must call."""
        how = StateDictOptions(full_state_dict=True, cpu_offload=True)
        self._collected = get_model_state_dict(self.backbone.transformer, options=how)

    def save(self, folder: Path) -> None:
        """Write what was collected."""
        whole, weights, self._collected = copy.deepcopy(self._empty), self._collected, {}
        whole.load_state_dict(weights, assign=True)
        whole.save_pretrained(folder / WHOLE)
