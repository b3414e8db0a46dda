"""Fidelity and retention of a tuned model, with the instruments that its preset names, against the untouched model.

Both draw the same prompts from the same noise, so differences are paired. Prompts of the concept get the seeds of the
paper's release, base + 100 i + k for prompt k of picture i; ordinary prompts are drawn once more by the untouched model from
other noise, as the set that kernel and Frechet distances are taken to: the untouched model's own distance is their zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
from accelerate import PartialState
from torch import Tensor

from dopsd import backbones, hub, tuned, written
from dopsd.backbones.base import Backbone
from dopsd.backbones.pipeline import device as named_device
from dopsd.concepts import Item
from dopsd.drawing import draw
from dopsd.errors import UserError
from dopsd.files import rounded, write_json
from dopsd.metrics import contrastive, lpips, quality, stats
from dopsd.pictures import from_pil
from dopsd.seeds import stream
from dopsd.written import NEW, REWRITE, Asked

FILE, PROMPTS = "measured.json", "prompts.jsonl"
SAYS = {  # better, and what a score looks at
    "dino_distance": (
        "lower",
        "DINO-D of a rewritten caption's picture and its training picture: rewards copying, too",
    ),
    "lpips_distance": ("lower", "LPIPS-D of the same pair"),
    "clip_image": ("higher", "CLIP cosine of new pictures and the training pictures"),
    "clip_score": ("higher", "CLIP-S of a picture and its prompt, [V] replaced by the class"),
    "judge": ("higher", "VLM-J of new pictures: 1 another kind of thing to 4 the same one"),
    "reward": ("higher", "people's preference, as the reward model has learnt it"),
    "kernel_distance": ("lower", "ordinary prompts: distance to the untouched model's pictures (KID)"),
    "frechet_distance": ("lower", "the same, Frechet distance; biased in small sets, so look at the difference only"),
}


@dataclass(frozen=True)
class Drawn:
    """What a model drew: one picture (3, H, W) in [-1, 1] a prompt of the concept, and of the ordinary prompts."""

    concept: list[Tensor]
    ordinary: list[Tensor]


def ordinary_prompts(name: str, n: int) -> list[str]:
    """The first n lines of a list that comes with the package ("everyday", "world"), or of a .txt file."""
    known = resources.files("dopsd") / "presets" / "prompts"
    file = Path(name) if name.endswith(".txt") else known / f"{name}.txt"
    if not file.is_file():
        raise UserError(f"measure.ordinary: {name!r}: no such list; choose everyday, world or a .txt file")
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    if len(lines) < n:
        raise UserError(f"measure.ordinary: {name!r} has {len(lines)} prompts, fewer than ordinary_prompts {n}")
    return lines[:n]


def fetch_all(settings) -> dict[str, Path]:
    """Every instrument's files by its name, fetched before anything long begins; UserError where one cannot be had."""
    weights = ("*.safetensors", "*.json")
    wanted = {"writer": weights, "judge": weights, "dino": weights, "lpips": lpips.FILES}
    wanted |= {"clip": contrastive.CLIP_FILES, "reward": (settings.reward.file,) if settings.reward else ()}
    if settings.clip and settings.clip.tokenizer == "world":
        wanted["clip"] = ("open_clip_config.json", "open_clip_model.safetensors")
    optional = ("*.txt", "*.jinja")  # a tokenizer's and its chat template, of some models
    out = {}
    for name, files in wanted.items():
        if source := getattr(settings, name):
            out[name] = hub.fetch(source.model, source.revision, f"{name}'s model", files, optional)
    return out


def prepare(preset, items: list[Item], out: Path) -> tuple[dict[str, Path], list[Asked]]:
    """The instruments' files, and the prompts in out/prompts.jsonl, written now if they are not there. In all processes;
    UserError where something cannot be had."""
    settings, state = preset.measure, PartialState(cpu=named_device(preset.backbone.device).type == "cpu")
    with state.main_process_first():
        ordinary_prompts(settings.ordinary, settings.ordinary_prompts)
        folders = fetch_all(settings)
        return folders, ask(settings, preset, items, folders, out / PROMPTS)


def ask(settings, preset, items: list[Item], folders: dict[str, Path], file: Path) -> list[Asked]:
    """The prompts in a file, written first if it is not there."""
    if not file.exists():
        if settings.writer:
            asked = written.by_vlm(_vlm(folders["writer"], preset.backbone), items, settings.new_prompts)
        else:
            asked = written.without_vlm(items, preset.tune.previews.prompts, settings.new_prompts)
        written.save(asked, file)
    return written.read(file, len(items))


def _vlm(folder: Path, backbone):
    from dopsd.vlm import Vlm

    pixels = getattr(backbone, "max_pixels", 768 * 768)
    return Vlm(str(folder), None, named_device(backbone.device), getattr(torch, backbone.dtype), pixels)


def concept_noise(backbone: Backbone, asked: list[Asked], items: list[Item], base: int) -> list[Tensor]:
    """Noise (C, h, w) of each prompt, at its picture's size: seed = base + 100 i + k, k counted within picture i."""
    count: dict[int, int] = {}
    out = []
    for a in asked:
        k = count[a.picture] = count.get(a.picture, -1) + 1
        generator = torch.Generator().manual_seed(base + 100 * a.picture + k)
        out.append(torch.randn(*backbone.latent_shape(*items[a.picture].size), generator=generator))
    return out


class Artist:
    """Draws all prompts with whatever weights are on the backbone; contexts and noise are made once."""

    def __init__(self, backbone: Backbone, settings, nfe: int, side: int, asked: list[Asked], items: list[Item]):
        self.backbone, self.nfe = backbone, nfe
        plain = ordinary_prompts(settings.ordinary, settings.ordinary_prompts)
        seen = [items[a.picture].references() for a in asked]  # the editing task's
        self.contexts = backbone.context([a.text for a in asked], references=seen if any(seen) else None)
        self.plain = backbone.context(plain)
        self.noise = concept_noise(backbone, asked, items, settings.seed)
        shape = (len(plain), *backbone.latent_shape(side, side))
        self.same, self.other = (torch.randn(shape, generator=stream(s, settings.seed)) for s in ("same", "other"))

    def concept(self) -> list[Tensor]:
        pairs = zip(self.contexts, self.noise, strict=True)
        return [draw(self.backbone, [c], x[None], self.nfe, 1)[0] for c, x in pairs]

    def ordinary(self, noise: Tensor) -> list[Tensor]:
        return list(draw(self.backbone, self.plain, noise, self.nfe, 1))


def compared(untouched: Tensor, after: Tensor, group: list[int]) -> dict:
    """A score of each picture under both models -> means and paired difference, with intervals over the groups."""
    a, b = untouched.double().numpy(), after.double().numpy()
    rows = {"untouched": a, "tuned": b, "difference": b - a}
    return {name: stats.interval(values, group) for name, values in rows.items()}


def distances(untouched: Tensor, after: Tensor, reference: Tensor) -> dict[str, dict]:
    """KID and FD of features (n, d) to the reference's (n, d), for both models and their difference."""
    n = len(reference)

    def of(f, features: Tensor):
        return lambda k: f(features[k], reference[k])

    out = {}
    for name, f, blocks in (("kernel_distance", quality.kid, n), ("frechet_distance", quality.frechet, 8)):
        both = [of(f, x) for x in (untouched, after)]
        rows = {"untouched": both[0], "tuned": both[1], "difference": lambda k, b=both: b[1](k) - b[0](k)}
        out[name] = {row: quality.jackknife_blocks(g, n, blocks) for row, g in rows.items()}
    return out


def score(
    preset, folders: dict[str, Path], items: list[Item], asked: list[Asked], before: Drawn, after: Drawn, reference
) -> dict[str, dict]:
    """Every score of the section `measure`, by name; one instrument is in memory at a time."""
    settings, where = preset.measure, named_device(preset.backbone.device)
    name = items[0].class_name
    plain = [a.text.replace("[V]", items[a.picture].class_name) for a in asked]
    targets = [from_pil(item.image()) for item in items]
    rewrites = [k for k, a in enumerate(asked) if a.kind == REWRITE]
    new = [k for k, a in enumerate(asked) if a.kind == NEW]
    out: dict[str, dict] = {}

    def add(score: str, ks: list[int], of) -> None:
        both = (of([x.concept[k] for k in ks], ks) for x in (before, after))
        out[score] = compared(*both, [asked[k].picture for k in ks])

    def target(ks: list[int]) -> list[Tensor]:
        return [targets[asked[k].picture] for k in ks]

    features = None
    if settings.lpips:
        eye = lpips.Lpips(folders["lpips"], where)
        add("lpips_distance", rewrites, lambda x, ks: eye.distance(x, target(ks)))
    if settings.clip:
        clip = _clip(settings.clip, folders["clip"], where)
        known, features = clip.image_features(targets), clip.image_features
        add("clip_image", new, lambda x, ks: (clip.image_features(x) @ known.T).mean(1))
        if settings.clip.text:
            add("clip_score", [*rewrites, *new], lambda x, ks: clip.score(x, [plain[k] for k in ks]))
            out["clip_score"]["cut_texts"] = clip.too_long(plain)
    if settings.dino:
        from dopsd.metrics.dino import Dino

        dino = Dino(str(folders["dino"]), None, where)
        features = dino.features
        add("dino_distance", rewrites, lambda x, ks: dino.distance(x, target(ks)))
    if features:
        out |= distances(*(features(x).double() for x in (before.ordinary, after.ordinary, reference)))
    if settings.reward:
        reward = contrastive.Contrastive(folders["reward"], where, settings.reward.architecture, settings.reward.file)
        add("reward", [*rewrites, *new], lambda x, ks: reward.score(x, [plain[k] for k in ks]))
        out["reward"]["cut_texts"] = reward.too_long(plain)
    if settings.judge:
        from dopsd.metrics.judge import Judge

        judge, seen = Judge(_vlm(folders["judge"], preset.backbone)), [item.image() for item in items]
        texts = [a.text for a in asked]
        add(
            "judge",
            new,
            lambda x, ks: judge.score(x, [seen[asked[k].picture] for k in ks], [texts[k] for k in ks], name),
        )
    return {k: {"better": SAYS[k][0], "says": SAYS[k][1], **out[k]} for k in SAYS if k in out}


def _clip(settings, folder: Path, where: torch.device):
    if settings.tokenizer == "open_clip":
        return contrastive.Contrastive(folder, where)
    from dopsd.metrics.clip import load_clip

    return load_clip(folder, where)


def measure(preset, items: list[Item], out: Path, weights: Path) -> dict[str, dict]:
    """Draw with and without the weights of a folder, score, and write out/measured.json and out/prompts.jsonl.

    All processes must call; only the main one scores. UserError where an instrument cannot be had.
    """
    tune = preset.tune
    folders, asked = prepare(preset, items, out)
    backbone = backbones.load(preset.backbone)
    artist = Artist(backbone, preset.measure, tune.nfe, tune.size, asked, items)
    backbone.free_encoders()
    reference = artist.ordinary(artist.other)
    before = Drawn(artist.concept(), artist.ordinary(artist.same))
    tuned.put(backbone, weights)
    after = Drawn(artist.concept(), artist.ordinary(artist.same))
    backbone.transformer = None
    scores, state = {}, PartialState()
    if state.is_main_process:
        scores = rounded(score(preset, folders, items, asked, before, after, reference))
        write_json(
            {"nfe": tune.nfe, "prompts": len(asked), "ordinary_prompts": len(reference), "scores": scores}, out / FILE
        )
    state.wait_for_everyone()
    return scores
