"""How well what looks at pictures sees: the reader on renders as they are and damaged, the mini CLIP as a second reader, and
what the frozen language models name."""

from __future__ import annotations

import random

import torch
from torch import Tensor
from transformers import Qwen3VLForConditionalGeneration

from dopsd.evaluation.instruments.mini_clip import MiniClip
from dopsd.evaluation.instruments.reader import Reader
from dopsd.evaluation.statistics import interval
from dopsd.mini import align
from dopsd.world import captions
from dopsd.world.damage import blur, faded
from dopsd.world.looks import LOOKS
from dopsd.world.scenes import ATTRIBUTES, NAMES, Scenes, visible

BLUR, CONTRAST = 0.8, 0.5  # pixels; what is left
SURE = 0.5  # a reading of less probability is an abstention
TEXTS = 24  # captions that stand for a value, to the mini CLIP
Scores = dict[str, dict]


def by_attribute(hit: Tensor, counted: Tensor) -> Scores:
    """Share of hits among what counts: hit, counted (n, 9) -> {attribute: number}."""
    return {a: interval(hit[counted[:, i], i].numpy()) for i, a in enumerate(NAMES)}


def reads(reader: Reader, images: Tensor, scenes: Scenes) -> Scores:
    """{"all": accuracy of each attribute that can be seen, "sure": of the readings that are no abstention, "answered": the
    share of those}."""
    logits = [reader(part) for part in images.split(256)]
    best = [torch.cat([x[a] for x in logits]).softmax(1).max(1) for a in NAMES]
    p, read = (torch.stack([b[i] for b in best], 1) for i in (0, 1))
    hit, seen, sure = read == scenes.attributes, visible(scenes.attributes), p >= SURE
    return {
        "all": by_attribute(hit, seen),
        "sure": by_attribute(hit, seen & sure),
        "answered": by_attribute(sure, seen),
    }


def sees_looks(reader: Reader, images: Tensor) -> Scores:
    """Balanced accuracy of each look without words: the mean of its share found in pictures that are shown in it, and of the
    share of others where it is not."""
    plain, out = reader.looks(images), {}
    for i, (name, look) in enumerate(LOOKS.items()):
        with_, without = reader.looks(look(images))[:, i] >= 0.5, plain[:, i] < 0.5
        half = 0.5 * (with_.double() + without.double())  # a scene each, with and without
        out[name] = interval(half.numpy())
    return out


def measure_reader(reader: Reader, scenes: Scenes, images: Tensor) -> Scores:
    """On renders as they are, blurred by `BLUR`, faded to `CONTRAST`; and its head for looks."""
    n = len(images)
    views = {
        "clean": images,
        "blurred": blur(images, torch.full((n,), BLUR)),
        "faded": faded(images, torch.full((n,), CONTRAST)),
    }
    return {name: reads(reader, x, scenes) for name, x in views.items()} | {"looks": sees_looks(reader, images)}


def zero_shot(clip: MiniClip) -> list[Tensor]:
    """For each attribute the direction of every value, (values, 64) of unit norm: the mean of `TEXTS` full captions of random
    scenes with this value."""
    rng, out = random.Random(0), []
    for a in NAMES:
        texts = []
        for value in ATTRIBUTES[a]:
            for _ in range(TEXTS):
                words = {b: rng.choice(ATTRIBUTES[b]) for b in NAMES} | {a: value}
                texts.append(captions.caption(words, set(NAMES), rng.choice(captions.LEVELS), rng))
        mean = clip.text_features(texts).unflatten(0, (-1, TEXTS)).mean(1)
        out.append(torch.nn.functional.normalize(mean - mean.mean(0), dim=1))
    return out


class SecondReader:
    """The mini CLIP in a reader's place: no value was ever a class to it."""

    def __init__(self, clip: MiniClip):
        self.clip, self.values = clip, zero_shot(clip)

    def read(self, images: Tensor) -> Tensor:
        """The nearest value of each attribute: (n, 9)."""
        features = self.clip.image_features(images)
        return torch.stack([(features @ v.T).argmax(1) for v in self.values], 1)


def measure_clip(clip: MiniClip, second: SecondReader, scenes: Scenes, images: Tensor) -> Scores:
    """Does the mini CLIP pick the right full caption for a picture out of 32? And its accuracy as a reader."""
    rng = random.Random(0)
    texts = [captions.caption(w, set(w), rng.choice(captions.LEVELS), rng) for w in scenes.words()]
    pairs = zip(clip.image_features(images).split(32), clip.text_features(texts).split(32), strict=True)
    hits = torch.cat([(a @ b.T).argmax(1) == torch.arange(len(a)) for a, b in pairs])
    hit = second.read(images) == scenes.attributes
    return {
        "retrieval_32": interval(hits.numpy()),
        "accuracy": by_attribute(hit, visible(scenes.attributes)),
    }


def agreement(read: Tensor, other: Tensor) -> Scores:
    """How often two readers say the same of what the first one's style shows: (n, 9) each -> {attribute: number}."""
    return by_attribute(read == other, visible(read))


def measure_naming(vlm: Qwen3VLForConditionalGeneration, scenes: Scenes, images: Tensor) -> Scores:
    """What the frozen language model names of a picture, from [image + "a [V]"]."""
    said = torch.cat([align.named(vlm, chunk) for chunk in images.split(256)])
    return by_attribute(said == scenes.attributes, visible(scenes.attributes))
