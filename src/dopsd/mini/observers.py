"""Training of what looks at pictures: the reader, the mini CLIP, and the vision tower before it meets the language model."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionModel

from dopsd.config.recipe import Part, Pooled
from dopsd.evaluation.instruments.mini_clip import LENGTH, build_clip
from dopsd.evaluation.instruments.reader import Reader
from dopsd.mini import loop, pools
from dopsd.mini.vision import tower
from dopsd.world import captions, tokens
from dopsd.world.damage import damaged
from dopsd.world.looks import LOOKS
from dopsd.world.scenes import NAMES, render, sample_scenes, visible

if TYPE_CHECKING:
    from open_clip.model import CLIP


def augment(images: Tensor) -> Tensor:
    """Noise of a random strength up to .15 and a shift of up to 2 pixels, the same for the whole batch."""
    strength = 0.15 * torch.rand(len(images), 1, 1, 1, device=images.device)
    dx, dy = torch.randint(-2, 3, (2,)).tolist()
    images = F.pad(images, (2, 2, 2, 2), mode="replicate")[:, :, 2 + dy : 66 + dy, 2 + dx : 66 + dx]
    return images + strength * torch.randn_like(images)


LOOK_SHARE = 0.1  # of the reader's pictures that are shown in a look without words


def train_reader(settings: Part, seed: int, work: Path) -> Reader:
    """Cross-entropy of every attribute that the style lets be seen; fresh renders at every step, of which some are blurred
    and faded: the reader is to know what it cannot read, and to say how damaged a picture is. A tenth is shown in a look that
    no word describes, and is asked for nothing but that look.
    """
    torch.manual_seed(seed)
    where = loop.device()
    reader = Reader().to(where)
    g = loop.generator(seed)

    def loss_fn(step: int) -> Tensor:
        scenes = sample_scenes(settings.batch_size, g, concepts=True).to(where)
        images, look = render(scenes), torch.zeros(settings.batch_size, dtype=torch.long, device=where)
        size = max(1, round(LOOK_SHARE * settings.batch_size / len(LOOKS)))
        for i, print_ in enumerate(LOOKS.values()):
            part = slice(i * size, (i + 1) * size)
            images[part], look[part] = print_(images[part]), i + 1
        images, damage = damaged(images)
        with loop.autocast(where):
            logits = reader(augment(images))
        target = torch.where(visible(scenes.attributes) & (look == 0)[:, None], scenes.attributes, -100)
        losses = [F.cross_entropy(logits[a].float(), target[:, i], ignore_index=-100) for i, a in enumerate(NAMES)]
        losses.append(F.cross_entropy(logits["look"].float(), look))
        losses.append(F.mse_loss(logits["damage"].float(), damage))
        return torch.stack(losses).mean()

    optimizer = torch.optim.AdamW(reader.parameters(), settings.learning_rate, weight_decay=0.01)
    loop.fit(
        loss_fn, {"model": reader}, optimizer, steps=settings.steps, minutes=settings.minutes, work=work, name="reader"
    )
    reader.eval().standardise(render(sample_scenes(4096, loop.generator(seed + 1)).to(where)))
    return reader


class TowerHead(nn.Module):
    """The Qwen3-VL vision tower in the place of a CLIP image tower: all patches together, projected."""

    def __init__(self, visual: Qwen3VLVisionModel, embed_dim: int):
        super().__init__()
        self.visual = visual
        width = visual.config.hidden_size
        self.narrow = nn.Linear(width, 16)
        self.project = nn.Linear(16 * 64, embed_dim)
        self.merged = nn.Linear(visual.config.out_hidden_size, embed_dim)

    def forward(self, images: Tensor) -> Tensor:
        merged, deep, last = tower(self.visual, images)
        tokens_ = merged + sum(deep)
        return self.project(self.narrow(last).flatten(1)) + self.merged(tokens_.mean(1))


def _clip_row(words: dict[str, str], rng: random.Random) -> list[int]:
    mention = {a for a in NAMES if rng.random() < rng.choice((0.6, 1.0))}
    text = captions.caption(words, mention, rng.choice((*captions.LEVELS, "tags")), rng)
    return [*tokens.words_to_ids(text), tokens.END]


def train_contrastive(
    settings: Pooled, seed: int, work: Path, name: str, visual: Qwen3VLVisionModel | None = None
) -> CLIP:
    """CLIP training on renders and captions. With `visual`, that tower learns in place of open_clip's own ViT."""
    from open_clip.loss import ClipLoss

    torch.manual_seed(seed)
    where = loop.device()
    model = build_clip()
    if visual is not None:
        model.add_module("visual", TowerHead(visual, 64))
    model = model.to(where)
    scenes = sample_scenes(settings.scenes, loop.generator(seed))
    images = pools.render_pool(scenes, where)
    texts = pools.token_pool(scenes, _clip_row, LENGTH, seed).to(where)
    draw = loop.batches(len(scenes), settings.batch_size, seed)
    contrast = ClipLoss()

    def loss_fn(step: int) -> Tensor:
        rows = next(draw).to(where)
        with loop.autocast(where):
            image, text, scale = model(augment(pools.pixels(images[rows])), texts[rows].long())
        return contrast(image.float(), text.float(), scale.clamp(max=100))

    optimizer = torch.optim.AdamW(model.parameters(), settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.05)
    loop.fit(loss_fn, {"model": model}, optimizer, steps=settings.steps, minutes=settings.minutes, work=work, name=name)
    return model.eval()
