"""The one training loop, for every objective and backbone."""

from __future__ import annotations

import csv
import random
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm

from dopsd import checkpoint, lora, objectives, seeds
from dopsd.backbones.base import Backbone, Context
from dopsd.concepts import Item, read_set
from dopsd.errors import UserError
from dopsd.objectives import Batch
from dopsd.pictures import from_pil
from dopsd.teacher import Teacher

LOG = ("step", "loss", "lr", "grad_norm", "seconds")
LOG_FILE = "loss.csv"  # the last file of a training: where it stands, the training is finished


@dataclass(frozen=True)
class Visit:
    """One image with one of its captions, encoded: x0 (C, h, w), c_s and c_t (None where no teacher is needed)."""

    latents: Tensor
    student: Tensor
    teacher: Tensor | None


class Encoded:
    """A set with all that the encoders make of it: they run once, before training, and are freed.

    Pictures of one size form a bucket; every batch is of one bucket.
    """

    def __init__(self, backbone: Backbone, items: list[Item], with_teacher: bool):
        self.visits: dict[tuple[int, int], list[list[Visit]]] = {}
        for item in items:
            image, texts = item.image(), list(item.captions.values())
            latents = backbone.encode(from_pil(image)[None])[0].cpu()
            student = backbone.context(texts)
            teacher: Context = backbone.context(texts, [image] * len(texts)) if with_teacher else [None] * len(texts)
            visits = [Visit(latents, s, t) for s, t in zip(student, teacher, strict=True)]
            self.visits.setdefault(item.size, []).append(visits)
        backbone.free_encoders()

    def draw(self, n: int, rng: random.Random) -> list[Visit]:
        """n visits of one bucket: buckets by their number of images, then images and captions uniformly."""
        images = rng.choices(list(self.visits.values()), [len(v) for v in self.visits.values()])[0]
        return [rng.choice(rng.choice(images)) for _ in range(n)]


def draw_batch(data: Encoded, backbone: Backbone, settings, seed: int, step: int) -> list[Batch]:
    """The batch of a step, in `accumulation` parts. A pure function of seed and step: the same images, captions and noise
    for every method, however the batch is split and wherever a training is resumed."""
    visits = data.draw(settings.batch_size, random.Random(seeds.number("batch", seed, step)))
    generator = seeds.stream("noise", seed, step)
    x0 = torch.stack([v.latents for v in visits])
    noise = torch.randn(x0.shape, generator=generator)
    times = backbone.random_times(len(x0), x0.shape[-2:], generator)
    grid = backbone.step_grid(settings.rollout_steps, x0.shape[-2:])
    size, parts = settings.batch_size // settings.accumulation, []
    for i in range(0, settings.batch_size, size):
        part = slice(i, i + size)
        teacher = [v.teacher for v in visits[part]]
        tensors = (x.to(backbone.device) for x in (x0[part], noise[part], times[part]))
        student = [v.student for v in visits[part]]
        parts.append(Batch(*tensors, student, None if teacher[0] is None else teacher, grid.to(backbone.device)))
    return parts


class Training:
    """The state of one training: student, teacher, optimiser, step and log."""

    def __init__(self, backbone: Backbone, method: str, settings, seed: int, learning_rate: float):
        self.backbone, self.settings, self.seed = backbone, settings, seed
        self.objective = objectives.get(method)
        self.parameters = lora.add(backbone.transformer, lora.STUDENT, settings, seed)
        self.teacher = Teacher(backbone.transformer, settings, seed) if self.objective.needs_teacher else None
        if settings.gradient_checkpointing:
            backbone.transformer.enable_gradient_checkpointing()
        self.accelerator = Accelerator(cpu=backbone.device.type == "cpu")
        if self.accelerator.num_processes > 1:
            raise UserError("training runs in one process; start it without a multi-process launcher")
        optimizer = torch.optim.AdamW(
            self.parameters, learning_rate, betas=settings.betas, weight_decay=settings.weight_decay
        )
        self.optimizer = self.accelerator.prepare(optimizer)
        self.step, self.seconds, self.log = 0, 0.0, []

    def teach(self, x: Tensor, t: Tensor, context: Context) -> Tensor:
        """u_t, the teacher's velocity."""
        return self.teacher(self.backbone.velocity, x, t, context)

    def advance(self, parts: list[Batch]) -> tuple[float, float]:
        """One optimiser step over the parts of a batch -> (loss, gradient norm before clipping)."""
        total = 0.0
        for part in parts:
            for loss in self.objective.loss(self.backbone.velocity, self.teach, part, self.settings):
                loss = loss / len(parts)
                self.accelerator.backward(loss)
                total += loss.item()
        norm = self.accelerator.clip_grad_norm_(self.parameters, self.settings.clip)
        if total != total:
            raise UserError(f"the loss is not a number at step {self.step}; lower the learning rate")
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.teacher:
            self.teacher.update()
        return total, float(norm)

    def state(self) -> dict:
        """All that a later process needs to go on exactly."""
        transformer = self.backbone.transformer
        adapters = {
            n: lora.weights(transformer, n) for n in (lora.STUDENT, lora.TEACHER) if n in transformer.peft_config
        }
        kept = {"adapters": adapters, "optimizer": self.optimizer.state_dict()}
        return kept | {"step": self.step, "seconds": self.seconds, "log": self.log}

    def restore(self, state: dict) -> None:
        """Go on from `state()`."""
        for name, weights in state["adapters"].items():
            lora.restore(self.backbone.transformer, name, weights)
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds, self.log = state["step"], state["seconds"], [tuple(row) for row in state["log"]]


def save_adapter(backbone: Backbone, folder: Path) -> None:
    """The student's adapter as the pipeline's LoRA file; the folder appears whole or not at all."""
    temporary = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    backbone.save_lora(temporary, *lora.exported(backbone.transformer))
    publish(temporary, folder)


def write_log(rows: list[tuple], file: Path) -> None:
    """A row a step; the file appears whole or not at all."""
    temporary = file.with_name(file.name + ".tmp")
    with temporary.open("w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f)
        writer.writerow(LOG)
        writer.writerows(rows)
    temporary.replace(file)


def train(
    backbone: Backbone, manifest: Path, method: str, settings, *, seed: int, learning_rate: float, work: Path
) -> Path:
    """Fine-tune a LoRA on an image-text set -> the folder of the finished training: step-XXXX/ at every checkpoint and
    loss.csv.

    Everything stands in a folder of `work` that is named after the arguments: a killed training goes on from there, bit
    for bit, when called again with the same ones, and a finished one is not repeated until `publish` has moved it. Raises
    UserError on a broken set, a broken state or a loss that is not a number.
    """
    identity = (method, manifest.read_text(encoding="utf-8"), settings.model_dump(), seed, learning_rate)
    folder = work / checkpoint.fingerprint(*identity, backbone.settings.model_dump())
    if (folder / LOG_FILE).exists():
        return folder
    data = Encoded(backbone, read_set(manifest), objectives.get(method).needs_teacher)
    training = Training(backbone, method, settings, seed, learning_rate)
    state_file = folder / "state.pt"
    if state := checkpoint.load(state_file):
        training.restore(state)
    folder.mkdir(parents=True, exist_ok=True)
    saved = time.time()
    with tqdm(total=settings.steps, initial=training.step, desc=f"{method} {manifest.parent.name} {seed}") as bar:
        while training.step < settings.steps:
            begun = time.time()
            loss, norm = training.advance(draw_batch(data, backbone, settings, seed, training.step))
            training.step += 1
            training.seconds += time.time() - begun
            training.log.append((training.step, loss, learning_rate, norm, round(training.seconds, 3)))
            bar.update()
            bar.set_postfix(loss=f"{loss:.4f}")
            if training.step in settings.checkpoints:
                save_adapter(backbone, folder / f"step-{training.step:04d}")
            if time.time() - saved > settings.save_every and training.step < settings.steps:
                checkpoint.save(state_file, training.state())
                saved = time.time()
    state_file.unlink(missing_ok=True)
    write_log(training.log, folder / LOG_FILE)
    return folder


def publish(finished: Path, out: Path) -> None:
    """Move a finished folder to where it belongs, in place of an older one."""
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(finished, out)
