"""How good the miniature is: every part on held-out scenes, prompts and noise."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from torch import Tensor
from tqdm import tqdm
from transformers import Qwen3Model, Qwen3VLForConditionalGeneration

from dopsd.config.study import Miniature
from dopsd.evaluation import distances, fidelity
from dopsd.evaluation.instruments.mini_clip import load_clip
from dopsd.evaluation.instruments.reader import Reader, load_reader
from dopsd.evaluation.instruments.sharpness import sharpness
from dopsd.evaluation.statistics import interval, jackknife
from dopsd.method import flow
from dopsd.method.rollout import sample
from dopsd.mini import align
from dopsd.mini.autoencoder import CHANNELS, decode, encode
from dopsd.mini.base import guided
from dopsd.mini.captioned import EMPTY, SHORT
from dopsd.mini.encoder import text_features
from dopsd.mini.generator import Field
from dopsd.support.seeds import stream
from dopsd.world import captions, tokens
from dopsd.world.scenes import NAMES, Scenes, render, sample_scenes, visible

LATENT = 16  # latent pixels a side
SHEET = 64  # prompts whose pictures are kept
Scores = dict[str, dict]


def by_attribute(hit: Tensor, seen: Tensor) -> Scores:
    """Share of hits among the entries that can be seen: hit, seen (n, 9) -> {attribute: number}."""
    return {a: interval(hit[seen[:, i], i].numpy()) for i, a in enumerate(NAMES)}


def measure_instruments(reader: Reader, scenes: Scenes, images: Tensor) -> Scores:
    """Accuracy of the reader on real renders, an attribute that a style hides left out."""
    return {"reader_accuracy": by_attribute(reader.read(images) == scenes.attributes, visible(scenes.attributes))}


def measure_clip(images: Tensor, scenes: Scenes) -> Scores:
    """Does the mini CLIP pick the right full caption for a picture out of 32?"""
    clip, rng = load_clip(), random.Random(0)
    texts = [captions.caption(w, set(w), rng.choice(captions.LEVELS), rng) for w in scenes.words()]
    image, text = clip.image_features(images), clip.text_features(texts)
    hits = torch.cat(
        [(a @ b.T).argmax(1) == torch.arange(len(a)) for a, b in zip(image.split(32), text.split(32), strict=True)]
    )
    return {"clip_retrieval_32": interval(hits.numpy())}


def measure_naming(vlm: Qwen3VLForConditionalGeneration, scenes: Scenes, images: Tensor) -> Scores:
    """What the frozen language model names of a picture, from [image + "a [V]"]."""
    said = torch.cat([align.named(vlm, chunk) for chunk in images.split(256)])
    return by_attribute(said == scenes.attributes, visible(scenes.attributes))


def measure_autoencoder(vae: AutoencoderKL, images: Tensor) -> dict:
    """Mean absolute error of each picture in [-1, 1]."""
    return interval((decode(vae, encode(vae, images)) - images).abs().mean((1, 2, 3)).numpy())


class Drawer:
    """The generators of the miniature, the base and the turbo, on prompts; without a pipeline, in large batches."""

    def __init__(self, models: Path, guidance: float):
        load = ZImageTransformer2DModel.from_pretrained
        self.fields = {n: Field(load(models / f"mini-{n}" / "transformer").eval()) for n in ("base", "turbo")}
        self.vae = AutoencoderKL.from_pretrained(models / "mini-turbo" / "vae").eval()
        self.encoder = Qwen3Model.from_pretrained(models / "mini-turbo" / "text_encoder", dtype=torch.float32).eval()
        self.scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(models / "mini-turbo" / "scheduler")
        self.guidance = guidance

    def caption(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        return text_features(self.encoder, ids), ids != tokens.PAD

    @torch.no_grad()
    def draw(self, who: str, texts: list[str], noise: Tensor, batch_size: int = 128) -> Tensor:
        """who: "base_32" (with guidance), "base_4", "turbo_4", ... -> pictures (n, 3, 64, 64) in [-1, 1]."""
        name, steps = who.rsplit("_", 1)
        guidance = self.guidance if who == "base_32" else 0.0
        grid = flow.step_grid(self.scheduler, int(steps))
        ids = tokens.pad([tokens.prompt_ids(t) for t in texts], SHORT)
        out = []
        for i in tqdm(range(0, len(texts), batch_size), desc=who, mininterval=5):
            part = slice(i, i + batch_size)
            caption, n = self.caption(ids[part]), len(ids[part])
            features, real = self.caption(tokens.pad([EMPTY], SHORT))
            empty = features.expand(n, -1, -1), real.expand(n, -1)

            def velocity(x: Tensor, t: Tensor, caption=caption, empty=empty) -> Tensor:
                return guided(self.fields[name], x, t, caption, empty, guidance)

            out.append(decode(self.vae, sample(velocity, noise[part], grid)))
        return torch.cat(out)


def held_out_prompts(n: int) -> tuple[Scenes, list[str]]:
    """n scenes with captions that say all of each."""
    scenes, rng = sample_scenes(n, stream("miniature prompts")), random.Random(0)
    return scenes, [captions.caption(w, set(w), rng.choice(captions.LEVELS), rng) for w in scenes.words()]


def measure_generators(
    drawer: Drawer, reader: Reader, renders: Tensor, settings: Miniature
) -> tuple[Scores, list[str], dict[str, Tensor]]:
    """Adherence, Frechet distance, sharpness and diversity of the base in many and few steps, and of the turbo.

    settings.images: as many prompts; settings.prompts and settings.noises: of the diversity. -> (scores, the first prompts,
    their pictures by model and steps).
    """
    scenes, texts = held_out_prompts(settings.images)
    attributes = scenes.attributes
    noise = torch.randn(len(texts), CHANNELS, LATENT, LATENT, generator=stream("miniature noise"))
    reference, out = reader.features(renders), {}
    blank = torch.ones_like(attributes, dtype=torch.bool)
    sharp, pictures = sharpness(render(scenes)).mean(), {}
    for who in ("base_32", "base_4", "turbo_4", "turbo_8"):
        images = drawer.draw(who, texts, noise)
        pictures[who] = images[:SHEET]
        read, features = reader.read(images), reader.features(images)
        each = {
            "adherence": interval(fidelity.adherence(read, attributes, blank).numpy()),
            "frechet": jackknife(lambda k, f=features: distances.frechet(f[k], reference), len(features), 40),
            "sharpness": interval((sharpness(images) / sharp).numpy()),
            "attribute_adherence": by_attribute(fidelity.found(read, attributes), visible(attributes)),
        }
        for name, value in each.items():
            out.setdefault(name, {})[who] = value
    for who in ("turbo_1", "turbo_2"):
        pictures[who] = drawer.draw(who, texts[:SHEET], noise[:SHEET])
    return out | {"diversity": measure_diversity(drawer, reader, settings)}, texts[:SHEET], pictures


def measure_diversity(drawer: Drawer, reader: Reader, settings: Miniature) -> Scores:
    """Mean distance of the reader's features between pictures of one prompt that leaves about half of the scene open."""
    rng, scenes = random.Random(1), sample_scenes(settings.prompts, stream("miniature diversity"))
    texts = [captions.random_caption(w, rng, keep=0.5) for w in scenes.words() for _ in range(settings.noises)]
    noise = torch.randn(settings.noises, CHANNELS, LATENT, LATENT, generator=stream("miniature diversity noise"))
    noise = noise.repeat(settings.prompts, 1, 1, 1)
    out = {}
    for who in ("base_32", "turbo_4"):
        features = reader.features(drawer.draw(who, texts, noise)).unflatten(0, (settings.prompts, settings.noises))
        out[who] = interval(torch.stack([torch.pdist(f).mean() for f in features]).numpy())
    return out


def measure(models: Path, settings: Miniature) -> tuple[Scores, list[str], dict[str, Tensor]]:
    """Everything in reports/metrics/miniature.json, and prompts with their pictures, to be looked at."""
    with torch.no_grad():
        reader = load_reader(models / "mini-reader")
        scenes = sample_scenes(settings.images, stream("miniature renders"))
        images = render(scenes)
        out = measure_instruments(reader, scenes, images) | measure_clip(images, scenes)
        out["naming"] = {}
        for name in settings.vlms:
            vlm = Qwen3VLForConditionalGeneration.from_pretrained(models / name, dtype=torch.float32).eval()
            out["naming"][name] = measure_naming(vlm, scenes, images)
        drawer = Drawer(models, settings.guidance)
        out["autoencoder_l1"] = measure_autoencoder(drawer.vae, images)
        scores, texts, pictures = measure_generators(drawer, reader, images, settings)
        return out | scores, texts, pictures
