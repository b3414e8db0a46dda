"""The autoencoder: a small AutoencoderKL, 64x64 pixels to 16x16 latents of 8 channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor

from dopsd.config.recipe import Part
from dopsd.mini import loop
from dopsd.world.scenes import render, sample_scenes

CHANNELS = 8
KL_WEIGHT = 1e-4


def build_autoencoder() -> AutoencoderKL:
    """An untrained autoencoder of the miniature's shape."""
    blocks: dict[str, Any] = {  # diffusers declares these tuples to be of length one
        "block_out_channels": (24, 48, 96),
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
    }
    return AutoencoderKL(
        **blocks,
        layers_per_block=1,
        latent_channels=CHANNELS,
        norm_num_groups=8,
        sample_size=64,
        scaling_factor=1.0,
        shift_factor=0.0,
        use_quant_conv=False,
        use_post_quant_conv=False,
        mid_block_add_attention=False,
        force_upcast=False,
    )


def _posterior(vae: Any, images: Tensor) -> DiagonalGaussianDistribution:
    """`vae.encode`, whose type in diffusers is that of either form of its output."""
    return vae.encode(images).latent_dist


def _decoded(vae: Any, latents: Tensor) -> Tensor:
    return vae.decode(latents).sample


def _slopes(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def train_autoencoder(settings: Part, seed: int, work: Path) -> AutoencoderKL:
    """L1 on pixels and on their slopes, and a small KL; then scale and shift so that latents have mean 0 and deviation 1."""
    torch.manual_seed(seed)
    where = loop.device()
    vae = loop.placed(build_autoencoder(), where, memory_format=torch.channels_last)
    g = loop.generator(seed)

    def loss_fn(step: int) -> Tensor:
        images = render(sample_scenes(settings.batch_size, g).to(where)).contiguous(memory_format=torch.channels_last)
        with loop.autocast(where):
            posterior = _posterior(vae, images)
            out = _decoded(vae, posterior.sample()).float()
        slopes = sum(F.l1_loss(a, b) for a, b in zip(_slopes(out), _slopes(images), strict=True))
        kl = 0.5 * (posterior.mean.float() ** 2 + posterior.var.float() - 1 - posterior.logvar.float()).mean()
        return F.l1_loss(out, images) + slopes + KL_WEIGHT * kl

    optimizer = torch.optim.AdamW(vae.parameters(), settings.learning_rate, betas=(0.9, 0.99), weight_decay=0.0)
    loop.fit(
        loss_fn,
        {"model": vae},
        optimizer,
        steps=settings.steps,
        minutes=settings.minutes,
        work=work,
        name="autoencoder",
    )
    vae.eval()
    with torch.no_grad():
        images = render(sample_scenes(1024, loop.generator(seed + 1)).to(where))
        latents = torch.cat([_posterior(vae, chunk).mean for chunk in images.split(256)])
    vae.register_to_config(scaling_factor=float(1 / latents.std()), shift_factor=float(latents.mean()))
    return vae


@torch.no_grad()
def encode(vae: AutoencoderKL, images: Tensor) -> Tensor:
    """Images (n, 3, 64, 64) in [-1, 1] -> latents (n, 8, 16, 16), the posterior's mode, scaled and shifted."""
    latents = torch.cat([_posterior(vae, chunk).mode() for chunk in images.split(512)])
    return (latents - vae.config["shift_factor"]) * vae.config["scaling_factor"]


@torch.no_grad()
def decode(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """The inverse of `encode`, clamped to [-1, 1]."""
    latents = latents / vae.config["scaling_factor"] + vae.config["shift_factor"]
    return torch.cat([_decoded(vae, chunk) for chunk in latents.split(512)]).clamp(-1, 1)
