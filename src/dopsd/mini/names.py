"""Is a name a name to the text encoder? How far a prompt moves, at the layer that the generator reads, by one word."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import Qwen3Model

from dopsd.mini.encoder import text_features
from dopsd.world import tokens
from dopsd.world.lexicon import NOTHING

TEMPLATES = ("a {}", "draw a {} at left", "a large {} on sand banded , photo style", "show me a {} in neon style")


@torch.no_grad()
def moved(encoder: Qwen3Model, words: Sequence[str]) -> tuple[Tensor, Tensor]:
    """How far prompts with each word lie from the same prompts with "thing": |f(word) - f(thing)| / |f(thing)|, a mean over
    `TEMPLATES`. -> (of the word's own state, of the states of the word and of all that stands behind it), (n,) each."""
    where = next(encoder.parameters()).device
    own, all_ = [], []
    for template in TEMPLATES:
        at = len(tokens.USER) + template.split().index("{}")
        rows = [tokens.prompt_ids(template.format(w)) for w in (NOTHING, *words)]
        states = text_features(encoder, tokens.pad(rows).to(where)).float()
        difference = states[1:] - states[:1]
        own.append(difference[:, at].norm(dim=1) / states[0, at].norm())
        all_.append(difference.flatten(1).norm(dim=1) / states[:1, at:].flatten(1).norm(dim=1))
    return torch.stack(own).mean(0).cpu(), torch.stack(all_).mean(0).cpu()


@torch.no_grad()
def apart(encoder: Qwen3Model, words: Sequence[str], template: str = "a {}") -> Tensor:
    """Cosines between the states of words in the same place: (n, n)."""
    where = next(encoder.parameters()).device
    at = len(tokens.USER) + template.split().index("{}")
    rows = tokens.pad([tokens.prompt_ids(template.format(w)) for w in words]).to(where)
    states = torch.nn.functional.normalize(text_features(encoder, rows)[:, at].float(), dim=1)
    return (states @ states.T).cpu()
