"""How well what looks at pictures sees: the reader on renders as they are and damaged, the mini CLIP as a second reader, and
what the frozen language models name."""

from __future__ import annotations

import random

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import Qwen3VLForConditionalGeneration

from dopsd.evaluation.instruments.mini_clip import MiniClip
from dopsd.evaluation.instruments.reader import Reader
from dopsd.evaluation.statistics import interval
from dopsd.mini import align
from dopsd.support.seeds import stream
from dopsd.world import captions
from dopsd.world.damage import blur, faded
from dopsd.world.looks import LOOKS
from dopsd.world.scenes import ATTRIBUTES, NAMES, Scenes, sample_scenes, visible

BLUR, CONTRAST = 0.8, 0.5  # pixels; what is left
SURE = 0.5  # a reading of less probability is an abstention
TEXTS, RIDGE = 2000, 1.0  # captions of the second reader's first guess; its penalty, in units of a feature's variance
SECOND = 256  # pictures that it reads, at most
Scores = dict[str, dict]


def by_attribute(hit: Tensor, counted: Tensor) -> Scores:
    """Share of hits among what counts: hit, counted (n, 9) -> {attribute: number}, without those of which nothing counts."""
    return {a: interval(hit[counted[:, i], i].numpy()) for i, a in enumerate(NAMES) if counted[:, i].any()}


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


class SecondReader:
    """The mini CLIP in a reader's place. No value was ever a class to it, and it learns nothing from pictures here: a linear
    map from the features of full captions to what they say makes the first guess, and each attribute in turn then takes the
    value whose full caption, the others as they are, lies nearest to the picture."""

    def __init__(self, clip: MiniClip):
        self.clip = clip
        scenes, rng = sample_scenes(TEXTS, stream("second reader"), concepts=True), random.Random(0)
        texts = [captions.caption(w, set(w), rng.choice(captions.LEVELS), rng) for w in scenes.words()]
        x = self._with_one(clip.text_features(texts))
        square = x.T @ x / len(x) + RIDGE * x.var(0).mean() * torch.eye(x.shape[1], dtype=x.dtype)
        self.maps = []
        for i, a in enumerate(NAMES):
            said = F.one_hot(scenes.attributes[:, i], len(ATTRIBUTES[a])).to(x)
            self.maps.append(torch.linalg.solve(square, x.T @ (said - said.mean(0)) / len(x)))

    @staticmethod
    def _with_one(features: Tensor) -> Tensor:
        return F.pad(features.double(), (0, 1), value=1.0)

    def read(self, images: Tensor) -> Tensor:
        """LongTensor (n, 9). Some 60 captions a picture."""
        features = self.clip.image_features(images)
        read = torch.stack([(self._with_one(features) @ m).argmax(1) for m in self.maps], 1)
        rng = random.Random(0)
        for i, a in enumerate(NAMES):
            words = [{b: ATTRIBUTES[b][k] for b, k in zip(NAMES, row, strict=True)} for row in read.tolist()]
            texts = [captions.caption(w | {a: v}, set(w), "medium", rng) for w in words for v in ATTRIBUTES[a]]
            near = self.clip.text_features(texts).unflatten(0, (len(images), -1)) @ features[:, :, None]
            read[:, i] = near[:, :, 0].argmax(1)
        return read


def measure_clip(clip: MiniClip, second: SecondReader, scenes: Scenes, images: Tensor) -> Scores:
    """Does the mini CLIP pick the right full caption for a picture out of 32? And its accuracy as a reader."""
    rng = random.Random(0)
    texts = [captions.caption(w, set(w), rng.choice(captions.LEVELS), rng) for w in scenes.words()]
    pairs = zip(clip.image_features(images).split(32), clip.text_features(texts).split(32), strict=True)
    hits = torch.cat([(a @ b.T).argmax(1) == torch.arange(len(a)) for a, b in pairs])
    known = scenes.attributes[:SECOND]
    hit = second.read(images[:SECOND]) == known
    return {"retrieval_32": interval(hits.numpy()), "accuracy": by_attribute(hit, visible(known))}


def agreement(read: Tensor, second: SecondReader, images: Tensor) -> Scores:
    """How often two readers say the same of what the first one's style shows, of the first `SECOND` pictures; read: (n, 9)
    -> {attribute: number}."""
    first = read[:SECOND]
    return by_attribute(first == second.read(images[:SECOND]), visible(first))


def measure_naming(vlm: Qwen3VLForConditionalGeneration, scenes: Scenes, images: Tensor) -> Scores:
    """What the frozen language model names of a picture, from [image + "a [V]"]."""
    said = torch.cat([align.named(vlm, chunk) for chunk in images.split(256)])
    return by_attribute(said == scenes.attributes, visible(scenes.attributes))
