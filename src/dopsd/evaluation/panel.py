"""What every instrument says of the pictures that a tuned and an untouched model drew (see `measure`)."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dopsd.backbones.pipeline import device as named_device
from dopsd.config.measure import Clip
from dopsd.config.preset import Preset
from dopsd.evaluation.instruments import clip, distances, lpips
from dopsd.evaluation.instruments.mini_clip import MiniClip, load_clip
from dopsd.evaluation.prompt_file import NEW, REWRITE, Asked
from dopsd.evaluation.statistics import interval, jackknife_blocks
from dopsd.sets.items import Item
from dopsd.support.pictures import from_pil

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


def compared(untouched: Tensor, after: Tensor, group: list[int]) -> dict:
    """A score of each picture under both models -> means and paired difference, with intervals over the groups."""
    a, b = untouched.double().numpy(), after.double().numpy()
    rows = {"untouched": a, "tuned": b, "difference": b - a}
    return {name: interval(values, group) for name, values in rows.items()}


def to_reference(untouched: Tensor, after: Tensor, reference: Tensor) -> dict[str, dict]:
    """KID and FD of features (n, d) to the reference's (n, d), for both models and their difference."""
    n = len(reference)

    def of(f: Callable[[Tensor, Tensor], float], features: Tensor) -> Callable[[Tensor], float]:
        return lambda k: f(features[k], reference[k])

    out = {}
    for name, f, blocks in (("kernel_distance", distances.kid, n), ("frechet_distance", distances.frechet, 8)):
        both = [of(f, x) for x in (untouched, after)]
        rows = {"untouched": both[0], "tuned": both[1], "difference": lambda k, b=both: b[1](k) - b[0](k)}
        out[name] = {row: jackknife_blocks(g, n, blocks) for row, g in rows.items()}
    return out


@dataclass(frozen=True)
class Case:
    """What all instruments look at: a preset, its instruments' folders, the set, the prompts, and what both models drew;
    `reference` is what ordinary prompts are compared with."""

    preset: Preset
    folders: dict[str, Path]
    items: list[Item]
    asked: list[Asked]
    before: Drawn
    after: Drawn
    reference: list[Tensor]

    @property
    def device(self) -> torch.device:
        return named_device(self.preset.backbone.device)

    def of(self, *kinds: str) -> list[int]:
        """The numbers of the prompts of these kinds."""
        return [k for k, a in enumerate(self.asked) if a.kind in kinds]

    def item(self, k: int) -> Item:
        """The training picture that prompt k belongs to."""
        return self.items[self.asked[k].picture]

    def plain(self, k: int) -> str:
        """Prompt k, "[V]" replaced by what it is."""
        return self.asked[k].text.replace("[V]", self.item(k).class_name)

    def targets(self, ks: list[int]) -> list[Tensor]:
        return [from_pil(self.item(k).image()) for k in ks]

    def compared(self, ks: list[int], of: Callable[[list[Tensor]], Tensor]) -> dict:
        """A score of the pictures of some prompts, under both models."""
        before, after = (of([x.concept[k] for k in ks]) for x in (self.before, self.after))
        return compared(before, after, [self.asked[k].picture for k in ks])

    def retention(self, features: Callable[[list[Tensor]], Tensor]) -> dict[str, dict]:
        sets = (self.before.ordinary, self.after.ordinary, self.reference)
        before, after, reference = (features(x).double() for x in sets)
        return to_reference(before, after, reference)


def by_lpips(case: Case) -> dict[str, dict]:
    eye, ks = lpips.Lpips(case.folders["lpips"], case.device), case.of(REWRITE)
    targets = case.targets(ks)
    return {"lpips_distance": case.compared(ks, lambda x: eye.distance(x, targets))}


def by_dino(case: Case) -> dict[str, dict]:
    from dopsd.evaluation.instruments.dino import Dino

    dino, ks = Dino(str(case.folders["dino"]), None, case.device), case.of(REWRITE)
    targets = case.targets(ks)
    return {"dino_distance": case.compared(ks, lambda x: dino.distance(x, targets))} | case.retention(dino.features)


def by_clip(case: Case) -> dict[str, dict]:
    settings, new, every = case.preset.measure, case.of(NEW), case.of(REWRITE, NEW)
    assert settings.clip is not None  # as in every instrument: `score` asks the preset
    eye = _clip(settings.clip, case.folders["clip"], case.device)
    known = eye.image_features([from_pil(item.image()) for item in case.items])
    out = {"clip_image": case.compared(new, lambda x: (eye.image_features(x) @ known.T).mean(1))}
    if settings.clip.text:
        assert isinstance(eye, clip.Contrastive)  # the world's CLIP scores no texts, says config
        texts, score = [case.plain(k) for k in every], eye.score
        out["clip_score"] = case.compared(every, lambda x: score(x, texts)) | {"cut_texts": eye.too_long(texts)}
    return out if settings.dino else out | case.retention(eye.image_features)


def by_reward(case: Case) -> dict[str, dict]:
    settings, ks = case.preset.measure.reward, case.of(REWRITE, NEW)
    assert settings is not None
    reward = clip.Contrastive(case.folders["reward"], case.device, settings.architecture, settings.file)
    texts = [case.plain(k) for k in ks]
    return {"reward": case.compared(ks, lambda x: reward.score(x, texts)) | {"cut_texts": reward.too_long(texts)}}


def by_judge(case: Case) -> dict[str, dict]:
    from dopsd.backbones.vlm import Vlm
    from dopsd.evaluation.instruments.judge import Judge

    judge, ks = Judge(Vlm.beside(case.preset.backbone, str(case.folders["judge"]))), case.of(NEW)
    seen, names = [case.item(k).image() for k in ks], [case.item(k).class_name for k in ks]
    texts = [case.asked[k].text for k in ks]
    return {"judge": case.compared(ks, lambda x: judge.score(x, seen, texts, names))}


INSTRUMENTS = {"dino": by_dino, "lpips": by_lpips, "clip": by_clip, "judge": by_judge, "reward": by_reward}


def score(case: Case) -> dict[str, dict]:
    """Every score of the section `measure`, by name; one instrument is in memory at a time."""
    out: dict[str, dict] = {}
    for name, instrument in INSTRUMENTS.items():
        if getattr(case.preset.measure, name):
            out |= instrument(case)
            gc.collect()
            if case.device.type == "cuda":
                torch.cuda.empty_cache()
    return {k: {"better": SAYS[k][0], "says": SAYS[k][1], **out[k]} for k in SAYS if k in out}


def _clip(settings: Clip, folder: Path, where: torch.device) -> clip.Contrastive | MiniClip:
    if settings.tokenizer == "open_clip":
        return clip.Contrastive(folder, where)
    return load_clip(folder, where)
