"""The base: flow matching on latents and text features, with dropped captions for guidance (many steps)."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel
from torch import Tensor

from dopsd.config.recipe import Base
from dopsd.method import flow
from dopsd.mini import loop
from dopsd.mini.captioned import CaptionedLatents
from dopsd.mini.generator import Field, build_transformer

SHIFT = 3.0  # the scheduler's


def sample_t(n: int, high_share: float, high_sigma: float, device: torch.device) -> Tensor:
    """Timesteps of training: a share at sigma >= high_sigma, where the text alone decides; the rest shifted uniform."""
    high = (1 - high_sigma) * torch.rand(n, device=device)
    return torch.where(
        torch.rand(n, device=device) < high_share, high, flow.shifted(1 - torch.rand(n, device=device), SHIFT)
    )


def optimizers(model: torch.nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    """AdamW; no decay on vectors."""
    decay = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decay, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, learning_rate, betas=(0.9, 0.98))


def train_base(settings: Base, pool: CaptionedLatents, seed: int, work: Path) -> ZImageTransformer2DModel:
    """Flow matching from nothing; returns the EMA of the weights."""
    torch.manual_seed(seed)
    where = pool.where
    model = loop.placed(build_transformer(pool.encoder.config.hidden_size), where)
    average = loop.Average(model, settings.ema)
    field = Field(model, loop.compiles(settings.compiled))
    draw = pool.batches(settings.batch_size)

    def loss_fn(step: int) -> Tensor:
        rows = next(draw)
        x0 = pool.latents[rows].float()
        caption = pool.features(pool.ids(rows, step, settings.caption_dropout))
        noise = torch.randn_like(x0)
        t = sample_t(len(x0), settings.high_noise_share, settings.high_noise_sigma, where)
        with loop.autocast(where):
            v = field(flow.interpolate(x0, noise, t), t, caption)
        return F.mse_loss(v, flow.velocity_target(x0, noise))

    loop.fit(
        loss_fn,
        {"model": model, "average": average},
        optimizers(model, settings.learning_rate),
        steps=settings.steps,
        minutes=settings.minutes,
        warmup=300,
        work=work,
        name="base",
        after_step=lambda step: average.update(model),
    )
    return average.module.eval()


@torch.no_grad()
def guided(field: Field, x_t: Tensor, t: Tensor, caption: tuple, empty: tuple, guidance: float) -> Tensor:
    """Classifier-free guidance as the pipeline has it: v + g (v - v_empty); g = 0 is the plain field."""
    v = field(x_t, t, caption)
    return v if guidance == 0 else v + guidance * (v - field(x_t, t, empty))
