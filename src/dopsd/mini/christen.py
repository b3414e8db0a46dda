"""Which of the unheard names "[V]" is: the one that an untuned generator heeds least.

A name that a generator has heard mean nothing cannot be bound any more, and an unheard one has a bent of its own (see
docs/miniature.md). So of the unheard names the one is taken whose pictures are nearest to those of "thing", before
any tuning; the names change places in the embeddings, which is to rename them.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dopsd.evaluation.instruments.reader import Reader, load_reader
from dopsd.mini.autoencoder import CHANNELS
from dopsd.mini.drawer import FEW, LATENT, Drawer
from dopsd.mini.name_bars import SAID, UNHEARD
from dopsd.support.seeds import stream
from dopsd.world import captions, tokens
from dopsd.world.lexicon import NOTHING, PLACEHOLDER
from dopsd.world.scenes import sample_scenes

EMBEDDINGS = {  # file of models/ -> the embeddings' name in it
    "mini-turbo/text_encoder/model.safetensors": "embed_tokens.weight",
    "mini-vlm/model.safetensors": "model.language_model.embed_tokens.weight",
    "mini-vlm-plain/model.safetensors": "model.language_model.embed_tokens.weight",
}


def prompts(word: str, n: int, what: str) -> list[str]:
    """n open prompts in which the word stands for the thing, or for the look (`what`; `NOTHING` there is no look at all): the
    same prompts for every word."""
    rng, said = random.Random(0), {"thing": "shape", "look": "style"}[what]
    out = []
    for words in sample_scenes(n, stream("christening prompts", what)).words():
        mention = {a for a in words if a != said and rng.random() < SAID}
        thing, look = (None if word == NOTHING or what != kind else word for kind in ("thing", "look"))
        out.append(captions.caption(words, mention, rng.choice(captions.LEVELS), rng, thing=thing, look=look))
    return out


@torch.no_grad()
def read(drawer: Drawer, reader: Reader, who: str, word: str, n: int) -> Tensor:
    """What the reader reads in pictures with the word, n as a thing and n as a look, from noise that all share: (2n, 9)."""
    noise = torch.randn(2 * n, CHANNELS, LATENT, LATENT, generator=stream("christening noise", who))
    return reader.read(drawer.draw(who, prompts(word, n, "thing") + prompts(word, n, "look"), noise))


def agreement(
    drawer: Drawer, reader: Reader, n: int, turbos: tuple[str, ...], words: tuple[str, ...]
) -> dict[str, float]:
    """For each word, the share of attributes that stay as "thing" (or no style) has them from the same noise, in [0, 1], the
    mean over the turbos."""
    plain = {who: read(drawer, reader, who, NOTHING, n) for who in turbos}
    return {
        word: sum(float((read(drawer, reader, who, word, n) == plain[who]).float().mean()) for who in turbos)
        / len(turbos)
        for word in words
    }


def christened(models: Path, n: int) -> str:
    """The unheard name that both turbos heed least, over n prompts as a thing and as many as a look; from now on "[V]"."""
    found = agreement(
        Drawer(models, guidance=0.0), load_reader(models / "mini-reader"), n, FEW, (PLACEHOLDER, *UNHEARD)
    )
    best = max(found, key=lambda word: found[word])
    if best != PLACEHOLDER:
        rename(models, best)
    return best


def rename(models: Path, word: str) -> None:
    """Let "[V]" and the word change places in all embeddings."""
    a, b = tokens.ALL[PLACEHOLDER], tokens.ALL[word]
    for name, key in EMBEDDINGS.items():
        file = models / name
        weights = load_file(file)
        weights[key][[a, b]] = weights[key][[b, a]]
        save_file(weights, file, metadata={"format": "pt"})
