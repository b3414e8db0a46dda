"""Fidelity and retention of a tuned model, with the instruments that its preset names, against the untouched model.

Both draw the same prompts from the same noise, so differences are paired. Prompts of the concept get the seeds of the
paper's release, base + 100 i + k for prompt k of picture i; ordinary prompts are drawn once more by the untouched model from
other noise, as the set that kernel and Frechet distances are taken to: the untouched model's own distance is their zero.
"""

from __future__ import annotations

from datetime import timedelta
from importlib import resources
from pathlib import Path

import torch
from accelerate import PartialState
from torch import Tensor

from dopsd import backbones
from dopsd.backbones import hub
from dopsd.backbones.base import Backbone
from dopsd.backbones.pipeline import device as named_device
from dopsd.backbones.vlm import Vlm
from dopsd.config.backbone import Model
from dopsd.config.measure import Measure
from dopsd.config.preset import Preset
from dopsd.evaluation import prompt_file
from dopsd.evaluation.drawing import draw
from dopsd.evaluation.instruments import clip, lpips
from dopsd.evaluation.panel import Case, Drawn, score
from dopsd.evaluation.prompt_file import Asked
from dopsd.sets.items import Item
from dopsd.support.errors import UserError
from dopsd.support.files import rounded, write_json
from dopsd.support.seeds import stream
from dopsd.training.weights import put

FILE, PROMPTS = "measured.json", "prompts.jsonl"


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


def fetch_all(settings: Measure) -> dict[str, Path]:
    """Every instrument's files by its name, fetched before anything long begins; UserError where one cannot be had."""
    weights = ("*.safetensors", "*.json")
    wanted = {"writer": weights, "judge": weights, "dino": weights, "lpips": lpips.FILES}
    wanted |= {"clip": clip.CLIP_FILES, "reward": (settings.reward.file,) if settings.reward else ()}
    if settings.clip and settings.clip.tokenizer == "world":
        wanted["clip"] = ("open_clip_config.json", "open_clip_model.safetensors")
    optional = ("*.txt", "*.jinja", "*.json", "*.model")  # a tokenizer's and its chat template, of some models
    out = {}
    for name, files in wanted.items():
        if source := getattr(settings, name):
            out[name] = hub.fetch(source.model, source.revision, f"{name}'s model", files, optional)
    return out


def processes(backbone: Model) -> PartialState:
    """The processes of this run. One of them fetches, writes prompts and judges while the others wait: longer than the ten
    minutes that NCCL allows if not told otherwise, so this comes first."""
    return PartialState(cpu=named_device(backbone.device).type == "cpu", timeout=timedelta(hours=12))


def prepare(preset: Preset, items: list[Item], out: Path) -> tuple[dict[str, Path], list[Asked]]:
    """The instruments' files, and the prompts in out/prompts.jsonl, written now if they are not there. In all processes;
    UserError where something cannot be had, or where the set is none that can be measured."""
    if any(item.inputs for item in items):
        raise UserError("an editing set (input_path_list) cannot be measured: add --no-measure")
    if not any("[V]" in text for item in items for text in item.captions.values()):
        raise UserError(
            "no caption names [V], so measuring would ask for a word that is never trained: write [V] where the captions "
            "name the concept, or add --no-measure"
        )
    settings = preset.measure
    with processes(preset.backbone).main_process_first():
        ordinary_prompts(settings.ordinary, settings.ordinary_prompts)
        folders = fetch_all(settings)
        return folders, ask(preset, items, folders, out / PROMPTS)


def ask(preset: Preset, items: list[Item], folders: dict[str, Path], file: Path) -> list[Asked]:
    """The prompts in a file, written first if it is not there."""
    settings = preset.measure
    if not file.exists():
        if settings.writer:
            asked = prompt_file.by_vlm(Vlm.beside(preset.backbone, str(folders["writer"])), items, settings.new_prompts)
        else:
            asked = prompt_file.without_vlm(items, preset.tune.previews.prompts, settings.new_prompts)
        prompt_file.save(asked, file)
    return prompt_file.read(file, items)


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

    def __init__(
        self, backbone: Backbone, settings: Measure, nfe: int, side: int, asked: list[Asked], items: list[Item]
    ):
        self.backbone, self.nfe = backbone, nfe
        plain = ordinary_prompts(settings.ordinary, settings.ordinary_prompts)
        self.contexts, self.plain = backbone.context([a.text for a in asked]), backbone.context(plain)
        self.noise = concept_noise(backbone, asked, items, settings.seed)
        shape = (len(plain), *backbone.latent_shape(side, side))
        self.same, self.other = (torch.randn(shape, generator=stream(s, settings.seed)) for s in ("same", "other"))

    def concept(self) -> list[Tensor]:
        """One picture a prompt; pictures of one size are drawn together, so that several processes share them."""
        out: dict[int, Tensor] = {}
        for shape in sorted({x.shape for x in self.noise}):
            ks = [k for k, x in enumerate(self.noise) if x.shape == shape]
            noise = torch.stack([self.noise[k] for k in ks])
            out |= zip(ks, draw(self.backbone, [self.contexts[k] for k in ks], noise, self.nfe, 1), strict=True)
        return [out[k] for k in range(len(out))]

    def ordinary(self, noise: Tensor) -> list[Tensor]:
        return list(draw(self.backbone, self.plain, noise, self.nfe, 1))


def measure(preset: Preset, items: list[Item], out: Path, weights: Path) -> dict[str, dict]:
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
    put(backbone, weights)
    after = Drawn(artist.concept(), artist.ordinary(artist.same))
    backbone.transformer = None
    scores, state, settings = {}, processes(preset.backbone), preset.measure
    if state.is_main_process:
        scores = rounded(score(Case(preset, folders, items, asked, before, after, reference)))
        facts = {"nfe": tune.nfe, "prompts": len(asked), "ordinary_prompts": len(reference)}
        facts |= {"features": "dino" if settings.dino else "clip", "instruments": settings.model_dump(mode="json")}
        write_json(facts | {"scores": scores}, out / FILE)
    state.wait_for_everyone()
    return scores
