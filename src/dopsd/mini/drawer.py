"""The generators of the miniature without a pipeline, in large batches: the base and its turbos on prompts or features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from torch import Tensor
from tqdm import tqdm
from transformers import Qwen3Model

from dopsd.method import flow
from dopsd.method.rollout import sample
from dopsd.mini.autoencoder import CHANNELS, decode
from dopsd.mini.base import guided
from dopsd.mini.captioned import EMPTY, SHORT
from dopsd.mini.encoder import text_features
from dopsd.mini.generator import Field
from dopsd.support.seeds import stream
from dopsd.world import tokens

LATENT = 16  # latent pixels a side
TURBOS = ("turbo", "turbo-2")  # two distillations of one base
GENERATORS = ("base", *TURBOS)
GUIDED = "base_32"  # many steps, with guidance: the reference of the few
FEW = tuple(f"{turbo}_4" for turbo in TURBOS)
Caption = tuple[Tensor, Tensor]  # features (n, 32, D), and which positions are real (n, 32)


def noise(n: int, *name: object) -> Tensor:
    """Noise of n pictures, of a stream of this name: (n, 8, 16, 16)."""
    return torch.randn(n, CHANNELS, LATENT, LATENT, generator=stream("miniature", *name))


class Drawer:
    """models: the folder of `mini-base`, `mini-turbo` (with encoder, autoencoder and scheduler) and `mini-turbo-2`.
    guidance: of `GUIDED`, v + g (v - v_empty)."""

    def __init__(self, models: Path, guidance: float):
        load, shared = ZImageTransformer2DModel.from_pretrained, models / "mini-turbo"
        self.fields = {n: Field(load(models / f"mini-{n}" / "transformer").eval()) for n in GENERATORS}
        self.vae = AutoencoderKL.from_pretrained(shared / "vae").eval()
        self.encoder = Qwen3Model.from_pretrained(shared / "text_encoder", dtype=torch.float32).eval()
        self.scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(shared / "scheduler")
        self.guidance = guidance

    @torch.no_grad()
    def caption(self, texts: Sequence[str]) -> Caption:
        """What the generators read of prompts."""
        ids = tokens.pad([tokens.prompt_ids(t) for t in texts], SHORT)
        return self._read(ids)

    def _read(self, ids: Tensor) -> Caption:
        return text_features(self.encoder, ids), ids != tokens.PAD

    def draw(self, who: str, texts: Sequence[str], start: Tensor) -> Tensor:
        """who: "base_32" (with guidance), "base_4", "turbo-2_4", ...; start: the noise (n, 8, 16, 16) -> pictures
        (n, 3, 64, 64) in [-1, 1]."""
        return self.drawn(who, self.caption(texts), start)

    @torch.no_grad()
    def drawn(self, who: str, caption: Caption, start: Tensor, batch_size: int = 32) -> Tensor:
        """The same from features, of a prompt or of a picture with a prompt."""
        name, steps = who.rsplit("_", 1)
        guidance = self.guidance if who == GUIDED else 0.0
        grid = flow.step_grid(self.scheduler, int(steps))
        features, real = self._read(tokens.pad([EMPTY], SHORT))
        out = []
        for i in tqdm(range(0, len(start), batch_size), desc=who, mininterval=5):
            mine, x = tuple(c[i : i + batch_size] for c in caption), start[i : i + batch_size]
            empty = features.expand(len(x), -1, -1), real.expand(len(x), -1)

            def velocity(x_t: Tensor, t: Tensor, mine=mine, empty=empty) -> Tensor:
                return guided(self.fields[name], x_t, t, mine, empty, guidance)

            out.append(decode(self.vae, sample(velocity, x, grid)))
        return torch.cat(out)
