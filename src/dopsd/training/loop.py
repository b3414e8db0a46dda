"""The one training loop, for every objective and backbone, in one process or in several."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from dopsd.backbones.base import Backbone
from dopsd.config.train import Train
from dopsd.method.context import Context
from dopsd.objectives import Batch, Method
from dopsd.sets.items import Item
from dopsd.support import seeds
from dopsd.support.alone import alone, follow
from dopsd.support.errors import UserError
from dopsd.support.files import tidy
from dopsd.support.progress import progress
from dopsd.training import results, resume, state
from dopsd.training.encoded import Encoded
from dopsd.training.graphs import Recorded
from dopsd.training.identity import Identity, claim
from dopsd.training.stop import Stopped, asked_to_stop, memory
from dopsd.training.teacher import Teacher
from dopsd.training.tensors import finite
from dopsd.training.weights import begin


@dataclass(frozen=True)
class Preview:
    """Pictures while a training runs: `draw(step)` before it and after every so many steps, in all processes."""

    every: int
    draw: Callable[[int], None]


def draw_batch(
    data: Encoded,
    backbone: Backbone,
    settings: Train,
    rollout_steps: int,
    seed: int,
    step: int,
    process: int = 0,
    processes: int = 1,
    states: int = 1,
) -> list[Batch]:
    """The batch of a step, in `accumulation` parts: this process's share of it. A pure function of seed and step: the same
    images, captions and noise for every method, however the batch is split and wherever a training is resumed. states: how
    many pairs of noise and time a sample has, of which the first are those of any method."""
    visits = data.draw(settings.batch_size, random.Random(seeds.number("batch", seed, step)))
    generator = seeds.stream("noise", seed, step)
    x0 = torch.stack([v.latents for v in visits])
    noise = torch.randn(x0.shape, generator=generator)
    times = backbone.random_times(len(x0), x0.shape[-2:], generator)
    more = [
        (torch.randn(x0.shape, generator=generator), backbone.random_times(len(x0), x0.shape[-2:], generator))
        for _ in range(states - 1)
    ]
    grid = backbone.step_grid(rollout_steps, x0.shape[-2:]).to(backbone.device)
    size = settings.batch_size // (settings.accumulation * processes)
    parts = []
    for i in range(process * size, settings.batch_size, size * processes):
        part = slice(i, i + size)
        teacher = [v.teacher for v in visits[part] if v.teacher]  # of all, or of none
        latents, drawn, at = (x.to(backbone.device) for x in (x0[part], noise[part], times[part]))
        student = [v.student for v in visits[part]]
        further = tuple((n[part].to(backbone.device), t[part].to(backbone.device)) for n, t in more)
        parts.append(Batch(latents, drawn, at, student, teacher or None, grid, further))
    return parts


def check(backbone: Backbone, settings: Train, processes: int) -> None:
    """UserError where a training cannot be as it is set, on this device and in so many processes. Opens nothing."""
    if settings.batch_size % (settings.accumulation * processes):
        raise UserError(
            f"train.batch_size {settings.batch_size} cannot be split into train.accumulation "
            f"{settings.accumulation} x {processes} processes"
        )
    if settings.cuda_graphs and backbone.device.type != "cuda":
        raise UserError(f"train.cuda_graphs needs a CUDA GPU, not {backbone.device}; set it to false")


class Training:
    """The state of one training: student, teacher, optimiser, step and log."""

    def __init__(self, backbone: Backbone, method: Method, settings: Train, seed: int, learning_rate: float):
        self.backbone, self.settings, self.seed = backbone, settings, seed
        self.method, needs = method, method.needs
        self.weights = begin(backbone, settings, seed)
        self.parameters = self.weights.parameters
        self.teacher = Teacher(self.weights, needs.teacher, needs.decay) if needs.teacher else None
        if settings.gradient_checkpointing:
            # no dropout anywhere, so no random state to keep (which a CUDA graph could not)
            backbone.transformer.enable_gradient_checkpointing(
                partial(checkpoint, use_reentrant=False, preserve_rng_state=False)
            )
        self.accelerator = Accelerator(cpu=backbone.device.type == "cpu")
        check(backbone, settings, self.accelerator.num_processes)
        how = {"betas": settings.betas, "weight_decay": settings.weight_decay, "fused": self.parameters[0].is_cuda}
        optimizer = torch.optim.AdamW(self.parameters, learning_rate, **how)
        self.optimizer = self.accelerator.prepare(optimizer)
        self.passes: Callable[[Batch], Tensor] = self._passes
        if settings.cuda_graphs:
            for p in self.weights.trained:
                p.grad = torch.zeros_like(p)
            self.passes = Recorded(self._passes, backbone.device)
        self.step, self.seconds, self.log = 0, 0.0, []

    def batch(self, data: Encoded) -> list[Batch]:
        """This process's share of the next batch."""
        needs, here, of = self.method.needs, self.accelerator.process_index, self.accelerator.num_processes
        return draw_batch(
            data, self.backbone, self.settings, needs.rollout_steps, self.seed, self.step, here, of, needs.states
        )

    def teach(self, x: Tensor, t: Tensor, context: Context) -> Tensor:
        """u_t, the teacher's velocity."""
        assert self.teacher is not None  # a method that has none does not ask
        return self.teacher(self.backbone.velocity, x, t, context)

    def advance(self, parts: list[Batch]) -> tuple[float, float]:
        """One optimiser step over the parts of a batch -> (loss, gradient norm before clipping), both over all processes."""
        total = torch.zeros((), device=self.backbone.device, dtype=torch.float64)
        for part in parts:
            total += self.passes(part)
        loss = self._averaged(total)
        self.weights.gather()
        norm = self.accelerator.clip_grad_norm_(self.parameters, self.settings.clip)
        assert norm is not None  # it is only for a list of no parameters on a TPU
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=not self.settings.cuda_graphs)
        self.weights.scatter()
        if self.teacher:
            self.teacher.update()
        value = float(loss)  # the first wait for the GPU: all that follows the passes is queued while it is at them
        for what, number in (("loss", value), ("gradient's norm", float(norm))):
            if not math.isfinite(number):
                raise UserError(f"the {what} is not a number at step {self.step}; lower the learning rate")
        self.step += 1
        return value, float(norm)

    def check(self) -> None:
        """UserError where a weight is not a finite number: a step may break what its loss, taken before it, did not show."""
        bad = sum(not finite(p.detach()) for p in self.parameters)
        if bad:
            raise UserError(
                f"{bad} of {len(self.parameters)} weights are not finite after step {self.step}; lower the learning rate"
            )

    def _passes(self, part: Batch) -> Tensor:
        """Forward and backward over a part of a batch -> its share of the batch's loss, float64."""
        total = torch.zeros((), device=self.backbone.device, dtype=torch.float64)
        for loss in self.method.loss(self.backbone.velocity, self.teach, part):
            loss = loss / self.settings.accumulation
            self.accelerator.backward(loss)
            total += loss.detach()
        return total

    def _averaged(self, loss: Tensor) -> Tensor:
        """Average the gradients over the processes, in one message, and return the loss's average.

        In place of DDP, which wraps a module and counts its backward passes: here each state of a roll-out has its own, and
        the teacher's velocity is the same module's.
        """
        if self.accelerator.num_processes == 1:
            return loss
        grads = [cast(Tensor, p.grad) for p in self.weights.trained]  # a backward pass came before
        flat = torch.cat([*(g.flatten() for g in grads), loss.float().flatten()])
        flat = cast(Tensor, self.accelerator.reduce(flat, reduction="mean"))
        for g, part in zip(grads, flat[:-1].split([g.numel() for g in grads]), strict=True):
            g.copy_(part.view_as(g))
        return flat[-1]

    def anyone(self, asked: bool) -> bool:
        """Whether a process was asked to stop: all must end at the same step."""
        if self.accelerator.num_processes == 1:
            return asked
        flag = torch.tensor(float(asked), device=self.accelerator.device)
        return bool(cast(Tensor, self.accelerator.reduce(flag, reduction="sum")) > 0)

    def state(self) -> dict:
        """All that a later process needs to go on exactly."""
        kept = {"weights": self.weights.state(), "optimizer": self.optimizer.state_dict()}
        return kept | {"step": self.step, "seconds": self.seconds, "log": self.log}

    def restore(self, state: dict) -> None:
        """Go on from `state()`."""
        self.weights.restore(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds, self.log = state["step"], state["seconds"], [tuple(row) for row in state["log"]]


def run(
    training: Training,
    data: Encoded,
    folder: Path,
    owner: Any,
    name: str,
    preview: Preview | None,
    keep_state: bool = False,
) -> None:
    """Train to the end, with checkpoints, previews and states to go on from in `folder`, sealed as the owner's. Raises
    Stopped on Ctrl-C, UserError where a number is none or a disk is full.

    At every moment something in `folder` can be gone on from: a checkpoint is there before a state that is later, and the log
    before states are removed. keep_state: the last state stays.
    """
    settings, main = training.settings, training.accelerator.is_main_process
    saved, stopping = time.time(), False

    def save(most: int) -> None:
        training.check()
        state.keep(folder, training.state(), owner, most)

    bar = progress(total=settings.steps, initial=training.step, desc=name, shown=main)
    with bar, asked_to_stop() as stop:
        if preview and training.step == 0:
            preview.draw(0)
        while training.step < settings.steps and not stopping:
            begun = time.time()
            loss, norm = training.advance(training.batch(data))
            training.seconds += time.time() - begun
            rate = training.optimizer.param_groups[0]["lr"]
            training.log.append((training.step, loss, rate, norm))
            bar.update()
            bar.set_postfix(loss=f"{loss:.4f}", memory=memory(training.backbone.device))
            stopping = training.anyone(stop.asked)
            if main and training.step in settings.kept:
                results.save_weights(training.weights, results.step_folder(folder, training.step), owner)
            if preview and (training.step % preview.every == 0 or training.step == settings.steps):
                preview.draw(training.step)
            due = stopping or time.time() - saved > settings.save_every
            if main and due and training.step < settings.steps:
                save(settings.states)
                saved = time.time()
    if training.step < settings.steps:
        raise Stopped(f"stopped after step {training.step} of {settings.steps}; the same command goes on from there")
    if main:
        if keep_state:
            save(settings.states)
        results.conclude(folder, training.log, training.seconds, training.step)
        results.clear(folder, settings.kept, keep_state)
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
    keep_state: bool = False,
    earlier: Path | None = None,
    shown: list[Item] | None = None,
) -> Path:
    """Fine-tune on an image-text set -> the folder of the finished training: step-XXXX/ at every checkpoint, loss.csv and
    identity.json.

    name: of the progress bar. cache: where features are kept (see `Encoded`). Everything stands in a folder of `work` that is
    named after the arguments and the pictures: a killed training goes on from there, bit for bit, when called again with the
    same ones, and a finished one is not repeated until it is moved away. More steps than before go on, too.

    exclusive: `work` is of one training: another one there is a UserError that says what differs (see `identity.claim`).
    keep_state: leave the last state, so that a later training of more steps goes on from it. earlier: the folder of a
    finished training that has one: gone on from where it is of the same course and `work` has no state. shown: what the
    teacher sees in the place of the pictures (see `Encoded`).

    Raises UserError on a broken set, a number that is none, a full disk; alone.Busy where another process trains in `work`;
    Stopped on Ctrl-C. States that are damaged or of another training are said on stderr and skipped.
    """
    where = Accelerator(cpu=backbone.device.type == "cpu")
    if where.num_processes > 1:
        follow(what="the launcher")
    with alone(work, f"a training of {name}"):
        identity = Identity.of(backbone, items, method, settings, seed, learning_rate, shown)
        owner, folder = identity.owner(), work / identity.name
        with where.main_process_first():
            if where.is_main_process:
                claim(work, identity, exclusive)
                tidy(folder)
            if results.finished(folder, settings.kept, owner):
                if where.is_main_process:
                    results.clear(folder, settings.kept, keep_state)
                return folder
            data = Encoded(backbone, items, method.needs.seen, cache, shown)
        training = Training(backbone, method, settings, seed, learning_rate)
        with where.main_process_first():
            if left := resume.newest(folder, earlier, owner, settings, where.is_main_process):
                training.restore(left)
        run(training, data, folder, owner, name, preview, keep_state)
        del training.passes  # it holds the training, and recorded graphs hold their memory
    return folder
