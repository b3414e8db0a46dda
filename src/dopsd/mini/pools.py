"""Pools of scenes and of their captions' token ids, drawn once before a training."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from dopsd.world import captions, naming, tokens
from dopsd.world.naming import Habits
from dopsd.world.scenes import Scenes, render

DEFINED = 0.35  # share of the generator's long captions that define a name
Row: TypeAlias = Callable[[dict[str, str], random.Random], list[int]]  # the token ids of one text of a scene


def _rows(make: Row, length: int, job: tuple[int, list[dict[str, str]]]) -> np.ndarray:
    seed, words = job
    rng = random.Random(seed)
    out = np.full((len(words), length), tokens.PAD, np.uint8)  # no torch here: its threads do not survive a fork
    for i, w in enumerate(words):
        row = make(w, rng)
        out[i, : len(row)] = row
    return out


def token_pool(scenes: Scenes, make: Row, length: int, seed: int, workers: int | None = None) -> Tensor:
    """Token ids of one text a scene: `make(words, rng)` gives the ids. -> uint8 (n, length), padded on the right."""
    workers = workers or os.cpu_count() or 1
    words = scenes.words()
    size = 2000
    jobs = [(seed * 1_000_003 + i, words[i : i + size]) for i in range(0, len(words), size)]
    if len(jobs) == 1:
        return torch.from_numpy(_rows(make, length, jobs[0]))
    with ProcessPoolExecutor(workers) as pool:
        return torch.from_numpy(np.concatenate(list(pool.map(partial(_rows, make, length), jobs))))


def prompt_row(words: dict[str, str], rng: random.Random, habits: Habits = naming.GENERATOR) -> list[int]:
    """A random caption in the chat template (at most 30 tokens)."""
    return tokens.prompt_ids(naming.named_caption(words, rng, habits))


def long_row(words: dict[str, str], rng: random.Random, habits: Habits = naming.GENERATOR) -> list[int]:
    """A full description, then a short prompt; or a name defined and used; in the chat template (at most 50 tokens)."""
    if rng.random() < DEFINED:
        return tokens.prompt_ids(naming.defined_caption(words, rng, habits.free))
    return tokens.prompt_ids(naming.two_part(words, rng, habits))


def answer_row(
    words: dict[str, str], rng: random.Random, habits: Habits = naming.ENCODER, echo: float = 0.25
) -> list[int]:
    """What the language model is trained on: a caption, a caption of two parts, or a name that is defined and used; then the
    canonical description."""
    kind = rng.random()
    if kind < 0.4:
        prompt = naming.named_caption(words, rng, habits)
    elif kind < 0.75:
        prompt = naming.two_part(words, rng, habits, echo)
    else:
        prompt = naming.defined_caption(words, rng, habits.free)
    return tokens.prompt_ids(prompt, answer=captions.canonical(words))


def image_answer_row(words: dict[str, str], rng: random.Random, habits: Habits = naming.ENCODER) -> list[int]:
    """Image, then a prompt that mostly leaves all open, then the canonical description."""
    keep = rng.choice((0.0, 0.0, 0.0, 0.2, 0.5))
    prompt = rng.choice(("", f"a {rng.choice(habits.free)}", naming.named_caption(words, rng, habits, keep)))
    return tokens.prompt_ids(prompt, image=True, answer=captions.canonical(words))


def without_answer(ids: Tensor) -> Tensor:
    """Rows with an answer (n, L) -> the same with padding in the answer's place: the prompt as a generator gets it."""
    assistant = (ids == tokens.VOCABULARY["assistant"]).long().cumsum(1)
    behind = assistant.cumsum(1) > 2  # the mark itself and the line's end after it stay
    return torch.where(behind, tokens.PAD, ids)


@torch.no_grad()
def render_pool(scenes: Scenes, device: torch.device, size: int = 500) -> Tensor:
    """Render all scenes: -> uint8 (n, 3, 64, 64) on the device."""
    out = []
    for i in tqdm(range(0, len(scenes), size), desc="render", mininterval=5):
        out.append(((render(scenes[i : i + size].to(device)) + 1) * 127.5).round().clamp(0, 255).byte())
    return torch.cat(out)


def pixels(images: Tensor) -> Tensor:
    """uint8 -> float in [-1, 1]."""
    return images.float() / 127.5 - 1
