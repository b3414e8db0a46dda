"""The step distillation: distribution matching (DMD2, arXiv 2405.14867) on the student's own roll-outs.

real score: the frozen base with guidance, so that guidance is folded in; fake score: a copy of the base that follows the
student's samples by flow matching; the student is pushed along the difference of the two denoised images.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel
from torch import Tensor

from dopsd.config.recipe import Turbo
from dopsd.method import flow
from dopsd.mini import loop
from dopsd.mini.base import SHIFT, guided, sample_t
from dopsd.mini.captioned import CaptionedLatents
from dopsd.mini.generator import Field


def train_turbo(
    settings: Turbo, base: ZImageTransformer2DModel, pool: CaptionedLatents, grid: Tensor, seed: int, work: Path
) -> ZImageTransformer2DModel:
    """Distil the base to the steps of `grid` (t from 0 to 1); returns the EMA of the student.

    settings.steps: updates of the student.
    """
    torch.manual_seed(seed)
    where = pool.where
    grid = grid.to(where)
    base = loop.placed(base, where).eval().requires_grad_(False)
    student_model, fake_model = (copy.deepcopy(base).requires_grad_(True) for _ in range(2))
    average = loop.Average(student_model, settings.ema)
    compiled = loop.compiles(settings.compiled)
    real, fake, student = (Field(m, compiled) for m in (base, fake_model, student_model))
    betas = (0.0, 0.99)
    fake_optimizer = torch.optim.AdamW(fake_model.parameters(), settings.fake_learning_rate, betas=betas)
    draw = pool.batches(settings.batch_size)

    def rolled(step: int, grad: bool) -> tuple[Tensor, tuple]:
        """x0 as the student predicts it at a random step of its own roll-out, and the caption."""
        rows = next(draw)
        caption = pool.features(pool.ids(rows, step))
        x = torch.randn(len(rows), *pool.latents.shape[1:], device=where)
        k = int(torch.randint(len(grid) - 1, ()))
        with loop.autocast(where):
            with torch.no_grad():
                for t, after in zip(grid[:k], grid[1 : k + 1], strict=True):
                    x = x + (after - t) * student(x, t.expand(len(x)), caption)
            with torch.set_grad_enabled(grad):
                t = grid[k].expand(len(x))
                return flow.x0_from_velocity(x, student(x, t, caption), t), caption

    def follow(step: int) -> None:
        """One update of the fake score on the student's samples."""
        x0, caption = rolled(step, grad=False)
        noise = torch.randn_like(x0)
        t = sample_t(len(x0), 0.3, 0.94, where)
        with loop.autocast(where):
            v = fake(flow.interpolate(x0, noise, t), t, caption)
        loss = F.mse_loss(v, flow.velocity_target(x0, noise))
        fake_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(fake_model.parameters(), 1.0)
        fake_optimizer.step()

    def loss_fn(step: int) -> Tensor:
        for i in range(settings.fake_updates):
            follow(step + i)
        x0, caption = rolled(step, grad=True)
        with torch.no_grad(), loop.autocast(where):
            t = flow.shifted(0.98 - 0.96 * torch.rand(len(x0), device=where), SHIFT)
            x_t = flow.interpolate(x0, torch.randn_like(x0), t)
            empty = pool.empty(len(x0), caption[0].shape[1])
            x0_real = flow.x0_from_velocity(x_t, guided(real, x_t, t, caption, empty, settings.guidance), t)
            x0_fake = flow.x0_from_velocity(x_t, fake(x_t, t, caption), t)
            scale = (x0 - x0_real).abs().mean((1, 2, 3), keepdim=True).clamp(min=1e-3)
            gradient = (x0_fake - x0_real) / scale
        return 0.5 * F.mse_loss(x0, (x0 - gradient).detach())

    optimizer = torch.optim.AdamW(student_model.parameters(), settings.learning_rate, betas=betas)
    loop.fit(
        loss_fn,
        {"student": student_model, "fake": fake_model, "fake_optimizer": fake_optimizer, "average": average},
        optimizer,
        steps=settings.steps,
        minutes=settings.minutes,
        warmup=20,
        work=work,
        name=settings.folder,
        after_step=lambda step: average.update(student_model),
    )
    return average.module.eval()
