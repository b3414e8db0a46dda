"""Readers of features: small attention models that say which attribute words they find in what a generator reads.

They learn on text alone and are then frozen: an image whose features they read rightly is readable *as text is*, to
readers that were not trained on images. Their loss joins the alignment of the vision tower; no generator takes part.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dopsd.mini import loop, pools
from dopsd.mini.encoder import READ_LAYER
from dopsd.world import naming, tokens
from dopsd.world.lexicon import sample_named
from dopsd.world.scenes import ATTRIBUTES, NAMES, visible

WIDTH = 128
LENGTH = 64  # tokens of a text
FORGOTTEN, NOISE = 0.15, 0.15  # of the tokens that a reader must do without; deviation, in units of the features' own
SILENT = naming.Habits(("[V]", "[V]"), known=0.0, thing=0.2, look=0.1)
DEPTHS = (0, 1, 2)  # blocks of each reader of the panel: different readers are harder to deceive than one
TEMPLATE = torch.tensor([*tokens.USER, *tokens.ASSISTANT, *tokens.IMAGE]).unique()


class TextReader(nn.Module):
    """Features (n, L, D) and which positions are real (n, L) -> for each attribute, logits over its values and "not said".

    As a generator does, it normalises each token, mixes tokens in `depth` blocks, and attends from queries of its own.
    """

    def __init__(self, width: int, depth: int):
        super().__init__()
        self.inside = nn.Sequential(nn.RMSNorm(width), nn.Linear(width, WIDTH))
        layer = {"nhead": 4, "dim_feedforward": 2 * WIDTH, "dropout": 0.0, "batch_first": True, "norm_first": True}
        self.blocks = nn.ModuleList([nn.TransformerEncoderLayer(WIDTH, **layer) for _ in range(depth)])
        self.queries = nn.Parameter(torch.randn(len(NAMES), WIDTH) / WIDTH**0.5)
        self.key, self.value = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.heads = nn.ModuleList([nn.Linear(WIDTH, len(ATTRIBUTES[a]) + 1) for a in NAMES])

    def forward(self, features: Tensor, real: Tensor) -> list[Tensor]:
        x = self.inside(features)
        for block in self.blocks:
            x = block(x, src_key_padding_mask=~real)
        score = torch.einsum("ad,nld->nal", self.queries, self.key(x)).masked_fill(~real[:, None], -torch.inf)
        found = score.softmax(2) @ self.value(x)  # (n, 9, WIDTH)
        return [head(F.silu(found[:, i])) for i, head in enumerate(self.heads)]


def said(ids: Tensor) -> Tensor:
    """What texts say: ids (n, L) -> (n, 9), the value of each attribute, or the number of its values where none is said."""
    present = torch.zeros(len(ids), len(tokens.ALL), dtype=torch.bool, device=ids.device)
    present.scatter_(1, ids, True)
    columns = []
    for a in NAMES:
        first, n = tokens.VOCABULARY[ATTRIBUTES[a][0]], len(ATTRIBUTES[a])
        mine = present[:, first : first + n]
        columns.append(torch.where(mine.any(1), mine.long().argmax(1), n))
    return torch.stack(columns, 1)


def text_row(words: dict[str, str], rng: random.Random) -> list[int]:
    """A caption, or a full description and a short prompt, without known names and definitions."""
    long = rng.random() < 0.5
    return tokens.prompt_ids(naming.two_part(words, rng, SILENT) if long else naming.named_caption(words, rng, SILENT))


def readable(ids: Tensor, template: bool) -> Tensor:
    """Positions that a reader may look at (n, L): all that are real, or (`template` False) words and image tokens alone."""
    real = ids != tokens.PAD
    if template:
        return real
    image = tokens.VOCABULARY["<|image_pad|>"]
    return real & (~torch.isin(ids, TEMPLATE.to(ids.device)) | (ids == image))


class Panel(nn.Module):
    """Readers of several depths, each twice: one that looks at every position, one at words and image tokens alone."""

    def __init__(self, width: int):
        super().__init__()
        self.readers = nn.ModuleList([TextReader(width, d) for d in DEPTHS for _ in range(2)])

    def loss(self, states: Tensor, ids: Tensor, target: Tensor) -> Tensor:
        """Mean cross-entropy over readers and attributes. states (n, L, D); ids (n, L); target (n, 9), -100 to leave out."""
        losses = []
        for i, reader in enumerate(self.readers):
            real = readable(ids, template=i % 2 == 0)
            real = real | ~real.any(1, keepdim=True)  # an empty prompt has no words: look at everything
            for k, logits in enumerate(reader(states, real)):
                losses.append(F.cross_entropy(logits.float(), target[:, k], ignore_index=-100))
        return torch.stack(losses).mean()

    @torch.no_grad()
    def right(self, states: Tensor, ids: Tensor, attributes: Tensor) -> Tensor:
        """Which readers read which values rightly: (readers, n, 9)."""
        out = []
        for i, reader in enumerate(self.readers):
            logits = reader(states, readable(ids, template=i % 2 == 0))
            out.append(torch.stack([x.argmax(1) for x in logits], 1) == attributes)
        return torch.stack(out)


def train_panel(language: Any, steps: int, batch_size: int, seed: int, work: Path, name: str) -> Panel:
    """Train a panel on the text features of the frozen language model (that of a Qwen3-VL), then freeze it."""
    torch.manual_seed(seed)
    where = loop.device()
    scenes = sample_named(batch_size + 50 * steps, loop.generator(seed))
    pool = pools.token_pool(scenes, text_row, LENGTH, seed).to(where)
    panel = loop.placed(Panel(language.config.hidden_size), where)
    draw = loop.batches(len(pool), batch_size, seed)

    def loss_fn(step: int) -> Tensor:
        ids = pool[next(draw).to(where)].long()
        with torch.no_grad(), loop.autocast(where):
            states = language(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states[READ_LAYER]
        states = states.float()
        states = states + NOISE * states.square().mean(2, keepdim=True).sqrt() * torch.randn_like(states)
        kept = torch.where(torch.rand(ids.shape, device=where) < FORGOTTEN, tokens.PAD, ids)
        kept[:, : len(tokens.USER)] = ids[:, : len(tokens.USER)]
        with loop.autocast(where):
            return panel.loss(states, kept, said(kept))

    optimizer = torch.optim.AdamW(panel.parameters(), 1e-3, betas=(0.9, 0.98), weight_decay=0.01)
    loop.fit(loss_fn, {"panel": panel}, optimizer, steps=steps, work=work, name=name)
    return panel.eval().requires_grad_(False)


def seen(attributes: Tensor) -> Tensor:
    """The targets of pictures: attributes (n, 9), -100 where the style hides one."""
    return torch.where(visible(attributes), attributes, -100)
