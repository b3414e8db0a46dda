"""How good the miniature is: every part on held-out scenes, prompts and noise."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor
from transformers import Qwen3VLForConditionalGeneration

from dopsd.config.study import Miniature
from dopsd.evaluation import distances, fidelity
from dopsd.evaluation.instruments import blur
from dopsd.evaluation.instruments.mini_clip import load_clip
from dopsd.evaluation.instruments.reader import Reader, load_reader
from dopsd.evaluation.statistics import interval, jackknife
from dopsd.mini.autoencoder import decode, encode
from dopsd.mini.degradations import degradations
from dopsd.mini.drawer import FEW, GUIDED, Drawer, noise
from dopsd.mini.eye import measure_eye
from dopsd.mini.name_bars import measure_names, sheet
from dopsd.mini.observed import (
    SecondReader,
    agreement,
    by_attribute,
    measure_clip,
    measure_naming,
    measure_reader,
)
from dopsd.support.seeds import stream
from dopsd.world import captions
from dopsd.world.scenes import NAMES, Scenes, index, render, sample_scenes, visible

SHEET = 32  # prompts whose pictures are kept
SAID = (1.0, 0.5, 0.15)  # the chance that a prompt mentions an attribute
SHOWN = (1.0, 0.15)  # those whose pictures are kept
ROWS = ("base_4", *FEW)
MORE = {1.0: (GUIDED, "turbo_8"), 0.15: (GUIDED,)}  # dear rows: many steps, and "train with 4, draw with 8"
BLOCKS = 16  # of a jackknife
Scores = dict[str, dict]


@dataclass(frozen=True)
class Measured:
    """scores: reports/metrics/miniature.json. table: of degradations. prompts: the texts of each sheet of pictures; pictures:
    {(who, said): (SHEET, 3, 64, 64)}; names: a row of pictures a kind of name."""

    scores: Scores
    table: pd.DataFrame
    prompts: dict[float, list[str]]
    pictures: dict[tuple[str, float], Tensor]
    names: dict[str, Tensor]


def measure_autoencoder(vae: AutoencoderKL, images: Tensor) -> dict:
    """Mean absolute error of each picture in [-1, 1]."""
    return interval((decode(vae, encode(vae, images)) - images).abs().mean((1, 2, 3)).numpy())


def prompt(words: dict[str, str], said: float, rng: random.Random) -> tuple[set[str], str]:
    """Which attributes of a scene a prompt says, each with this chance, the shape where none is; and the prompt."""
    mention = {a for a in NAMES if rng.random() < said} or {"shape"}
    return mention, captions.caption(words, mention, rng.choice(captions.LEVELS), rng)


def held_out_prompts(n: int, said: float) -> tuple[Scenes, Tensor, list[str]]:
    """n scenes, which attributes each prompt says (n, 9), and the prompts. The scenes of every `said` are the same."""
    scenes, rng = sample_scenes(n, stream("miniature prompts")), random.Random(0)
    mentions, texts = zip(*(prompt(words, said, rng) for words in scenes.words()), strict=True)
    return scenes, torch.tensor([[a in mention for a in NAMES] for mention in mentions]), list(texts)


def measure_pictures(images: Tensor, reader: Reader, reference: Tensor, few: int) -> Scores:
    """What needs no truth. Frechet distance to renders, of all pictures and of the first `few` (alike in all rows: it
    falls with their number); steepness and contrast over renders of what is read; blur as read; the share that is read as
    watercolour, the style that is soft of itself.
    """
    features, measured = reader.features(images), blur.relative(images, reader)
    soft = reader.read(images)[:, NAMES.index("style")] == index("style", "watercolour")

    def frechet(mine: Tensor) -> dict:
        return jackknife(lambda k: distances.frechet(mine[k], reference), len(mine), BLOCKS)

    return {
        "frechet": frechet(features),
        "frechet_few": frechet(features[:few]),
        **{name: interval(v.double().numpy()) for name, v in measured.items()},
        "blur_read": interval(reader.damages(images)[:, 0].double().numpy()),
        "watercolour": interval(soft.numpy()),
    }


def measure_generators(
    drawer: Drawer, reader: Reader, second: SecondReader, renders: Tensor, settings: Miniature
) -> tuple[Scores, dict[float, list[str]], dict[tuple[str, float], Tensor]]:
    """The base in many and few steps and both turbos, on prompts that say all, half and little: adherence to what is stated,
    attribute by attribute, and `measure_pictures`. settings.prompts: as many prompts, of which the base draws the first
    settings.guided in many guided steps (`MORE`).

    -> (scores {"said 0.15": {who: {score: number}}}, the texts and the pictures of the sheets).
    """
    reference, out, texts_of, pictures = reader.features(renders), {}, {}, {}
    start = noise(settings.prompts, "prompts")
    for said in SAID:
        scenes, stated, texts = held_out_prompts(settings.prompts, said)
        texts_of[said], at = texts[:SHEET], out.setdefault(f"said {said:g}", {})
        for who in (*ROWS, *MORE.get(said, ())):
            n = settings.guided if who == GUIDED else settings.prompts
            images = drawer.draw(who, texts[:n], start[:n])
            read, wanted, asked = reader.read(images), scenes.attributes[:n], stated[:n]
            adherence = fidelity.adherence(read, wanted, asked)
            at[who] = {
                "adherence": interval(adherence[adherence.isfinite()].numpy()),
                "attributes": by_attribute(fidelity.found(read, wanted), asked & visible(wanted)),
                **measure_pictures(images, reader, reference, settings.guided),
            }
            if said == 1 and who in FEW:
                at[who]["agreement"] = agreement(read, second, images)
            if said in SHOWN:
                pictures[who, said] = images[:SHEET]
    return out, {said: texts_of[said] for said in SHOWN}, pictures


def measure_diversity(drawer: Drawer, reader: Reader, settings: Miniature) -> Scores:
    """Mean distance of the reader's features between pictures of one prompt that leaves about half of the scene open."""
    n, m = settings.diversity_prompts, settings.noises
    rng, scenes = random.Random(1), sample_scenes(n, stream("miniature diversity"))
    texts = [t for w in scenes.words() for t in [prompt(w, 0.5, rng)[1]] * m]
    start = noise(m, "diversity").repeat(n, 1, 1, 1)
    out = {}
    for who in (GUIDED, *FEW):
        features = reader.features(drawer.draw(who, texts, start)).unflatten(0, (n, m))
        out[who] = interval(torch.stack([torch.pdist(f).mean() for f in features]).numpy())
    return out


@torch.no_grad()
def measure(models: Path, settings: Miniature) -> Measured:
    """Everything that the stage `miniature` writes."""
    reader, clip = load_reader(models / "mini-reader"), load_clip(models / "mini-clip")
    scenes = sample_scenes(settings.renders, stream("miniature renders"))
    images, second = render(scenes), SecondReader(clip)
    load = Qwen3VLForConditionalGeneration.from_pretrained
    vlms = {name: load(models / name, dtype=torch.float32).eval() for name in settings.vlms}
    out: Scores = {
        "reader": measure_reader(reader, scenes, images),
        "clip": measure_clip(clip, second, scenes, images),
        "naming": {name: measure_naming(vlm, scenes, images) for name, vlm in vlms.items()},
    }
    drawer = Drawer(models, settings.guidance)
    out["autoencoder_l1"] = measure_autoencoder(drawer.vae, images)
    out["names"] = measure_names(drawer, reader, settings.known, settings.free)
    sizes = {"targets": settings.eye, "combinations": settings.combinations, "pairs": settings.pairs}
    out["eye"] = measure_eye(drawer, vlms, reader, **sizes)
    out["drawn"], prompts, pictures = measure_generators(drawer, reader, second, images, settings)
    out["diversity"] = measure_diversity(drawer, reader, settings)
    table = degradations(reader, settings.degraded)
    return Measured(out, table, prompts, pictures, sheet(drawer))
