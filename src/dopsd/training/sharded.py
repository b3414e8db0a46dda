"""Full fine-tuning over several processes that share the model out among them: `loop.train`, on `Shards`."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
from torch.distributed.tensor import DTensor
from torch.utils.checkpoint import checkpoint

from dopsd.backbones.base import Backbone
from dopsd.config.train import Train
from dopsd.objectives import Method
from dopsd.sets.items import Item
from dopsd.support.alone import alone, follow
from dopsd.support.errors import UserError
from dopsd.support.files import tidy
from dopsd.support.progress import progress
from dopsd.training import loop, results, shard_states
from dopsd.training.encoded import Encoded
from dopsd.training.identity import Identity, claim
from dopsd.training.loop import Preview
from dopsd.training.shards import Shards
from dopsd.training.stop import Stopped, asked_to_stop, memory
from dopsd.training.teacher import Teacher
from dopsd.training.tensors import finite


def check(settings: Train) -> None:
    """UserError where a training cannot be sharded. Opens nothing."""
    by_accelerate = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() in ("1", "true")
    for wrong, said in (
        (settings.tune != "full", "is for train.tune full; a LoRA's processes hold little that could be shared out"),
        (settings.offload, "shares out what train.offload moves to the CPU; set that to false"),
        (settings.cuda_graphs, "train.cuda_graphs cannot record a pass that gathers weights; set it to false"),
        (by_accelerate, "not under accelerate's own FSDP; launch with distributed_type: MULTI_GPU"),
    ):
        if wrong:
            raise UserError(f"--sharded: {said}")


class Training(loop.Training):
    """The state of one training, of which each process holds its share."""

    def __init__(self, backbone: Backbone, method: Method, settings: Train, seed: int, learning_rate: float):
        check(settings)
        self.backbone, self.settings, self.seed = backbone, settings, seed
        self.method, needs = method, method.needs
        self.accelerator = Accelerator(cpu=backbone.device.type == "cpu")
        loop.check(backbone, settings, self.accelerator.num_processes)
        self.shards = self.weights = Shards(backbone, settings, seed)
        self.parameters = self.weights.parameters
        self.teacher = Teacher(self.weights, needs.teacher, needs.decay) if needs.teacher else None
        if settings.gradient_checkpointing:
            backbone.transformer.enable_gradient_checkpointing(
                partial(checkpoint, use_reentrant=False, preserve_rng_state=False)
            )
        how = {"betas": settings.betas, "weight_decay": settings.weight_decay, "fused": self.parameters[0].is_cuda}
        self.adam = torch.optim.AdamW(self.parameters, learning_rate, **how)
        self.optimizer = self.accelerator.prepare(self.adam)
        self.passes = self._passes
        self.step, self.seconds, self.log = 0, 0.0, []

    def _averaged(self, loss: Tensor) -> Tensor:
        self.shards.synchronise()
        return cast(Tensor, self.accelerator.reduce(loss, reduction="mean"))

    def check(self) -> None:
        bad = torch.tensor(
            [not finite(cast(DTensor, p.detach()).to_local()) for p in self.parameters], dtype=torch.float32
        )
        bad = cast(Tensor, self.accelerator.reduce(bad.to(self.backbone.device), reduction="sum"))
        if n := int((bad > 0).sum()):
            raise UserError(
                f"{n} of {len(self.parameters)} weights are not finite after step {self.step}; lower the learning rate"
            )

    def state(self) -> dict:
        """As `loop.Training.state`, its tensors as this process's shards."""
        kept = {"weights": self.weights.state()}
        kept |= {"optimizer": get_optimizer_state_dict(self.backbone.transformer, self.adam)}
        return kept | {"step": self.step, "seconds": self.seconds, "log": self.log}

    def restore(self, state: dict) -> None:
        self.weights.restore(state["weights"])
        set_optimizer_state_dict(self.backbone.transformer, self.adam, state["optimizer"])
        self.step, self.seconds, self.log = state["step"], state["seconds"], [tuple(row) for row in state["log"]]

    def keep(self, folder: Path, owner: Any) -> None:
        """Write a state to go on from. All processes must call."""
        self.check()
        shard_states.keep(folder, self.state(), owner, self.settings.states)

    def go_on(self, folder: Path, earlier: Path | None, owner: Any) -> None:
        """From the last good state that there is (see `resume.newest`), if there is one. All processes must call."""
        if left := shard_states.newest(folder, earlier, owner, self.settings):
            self.restore(shard_states.load(left, self.state()))

    def publish(self, folder: Path, owner: Any) -> None:
        """Write the student's weights as a checkpoint. All processes must call."""
        self.shards.collect()
        if self.accelerator.is_main_process:
            results.save_weights(self.weights, results.step_folder(folder, self.step), owner)


def run(training: Training, data: Encoded, folder: Path, owner: Any, name: str, preview: Preview | None) -> None:
    """`loop.run`, with the last state kept, where all processes write what one cannot: each comes to every save."""
    settings, main = training.settings, training.accelerator.is_main_process
    saved, stopping = time.time(), False
    bar = progress(total=settings.steps, initial=training.step, desc=name, shown=main)
    with bar, asked_to_stop() as stop:
        if preview and training.step == 0:
            preview.draw(0)
        while training.step < settings.steps and not stopping:
            begun = time.time()
            loss, norm = training.advance(training.batch(data))
            training.seconds += time.time() - begun
            training.log.append((training.step, loss, training.optimizer.param_groups[0]["lr"], norm))
            bar.update()
            bar.set_postfix(loss=f"{loss:.4f}", memory=memory(training.backbone.device))
            stopping = training.anyone(stop.asked)
            if training.step in settings.kept:
                training.publish(folder, owner)
            if preview and (training.step % preview.every == 0 or training.step == settings.steps):
                preview.draw(training.step)
            due = main and time.time() - saved > settings.save_every  # the first process's clock counts
            if training.anyone(stopping or due or training.step == settings.steps):
                training.keep(folder, owner)
                saved = time.time()
    if training.step < settings.steps:
        raise Stopped(f"stopped after step {training.step} of {settings.steps}; the same command goes on from there")
    if main:
        results.conclude(folder, training.log, training.seconds, training.step)
        results.clear(folder, settings.kept, keep_state=True)
    training.accelerator.wait_for_everyone()


def train(
    backbone: Backbone,
    items: list[Item],
    method: Method,
    settings: Train,
    *,
    seed: int,
    learning_rate: float,
    work: Path,
    name: str,
    cache: Path | None = None,
    preview: Preview | None = None,
    exclusive: bool = False,
    earlier: Path | None = None,
) -> Path:
    """`loop.train` with its last state kept, over processes that share the model out among them; the number of processes may
    be another when it goes on. The weights are those of one process but for the order of sums. UserError as there, and
    where the settings cannot be sharded or the states there are not of a sharded training."""
    check(settings)
    where = Accelerator(cpu=backbone.device.type == "cpu")
    if where.num_processes > 1:
        follow(what="the launcher")
    with alone(work, f"a training of {name}"):
        identity = Identity.of(backbone, items, method, settings, seed, learning_rate)
        owner, folder = identity.owner(), work / identity.name
        with where.main_process_first():
            if where.is_main_process:
                claim(work, identity, exclusive)
                tidy(folder)
            if results.finished(folder, settings.kept, owner):
                return folder
            for place in (folder, earlier):
                shard_states.check(place, sharded=True)
            data = Encoded(backbone, items, method.needs.seen, cache)
        training = Training(backbone, method, settings, seed, learning_rate)
        training.go_on(folder, earlier, owner)
        run(training, data, folder, owner, name, preview)
        del training.passes  # it holds the training
    return folder
