"""What a method asks for before it trains (`method.preparation`): pictures and prompts of the class, the untouched model
beside the student, an adapter that is made once for a few-step model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dopsd import objectives
from dopsd.backbones.base import Backbone
from dopsd.config.train import Train
from dopsd.method.context import Context
from dopsd.method.preparation import Preparation, Prepared
from dopsd.method.rollout import sample
from dopsd.objectives import Batch, Field, Method
from dopsd.sets.items import Item
from dopsd.support import seeds
from dopsd.support.errors import UserError
from dopsd.support.files import remove, whole
from dopsd.support.pictures import to_pil
from dopsd.training import lora, results
from dopsd.training.identity import FILE as IDENTITY
from dopsd.training.loop import train
from dopsd.training.merge import merge

NAME = "[V]"
PIXELS = 2**18  # of pictures that are drawn together


def of(method: Method) -> Preparation | None:
    """What a method asks for; None where a set and a model are enough."""
    asked = getattr(method.objective, "preparation", None)
    return asked(method.settings) if asked else None


@dataclass(frozen=True)
class Ready(Method):
    """A method with what was made for it, which its loss is handed last."""

    given: Prepared = field(default_factory=Prepared)

    def loss(self, student: Field, teacher: Field, batch: Batch) -> Iterator[Tensor]:
        objective: Any = self.objective
        if not (self.given.pictures is not None or self.given.prompts or self.given.untouched):
            return objective.loss(student, teacher, batch, self.settings)
        return objective.loss(student, teacher, batch, self.settings, self.given)


def ready(method: Method, given: Prepared) -> Ready:
    """A method, ready to be trained."""
    return Ready(**{f: getattr(method, f) for f in method.__dataclass_fields__}, given=given)


def check(method: Method, settings: Train) -> None:
    """UserError where a method that prepares something cannot be trained as it is set."""
    if of(method) is None:
        return
    for name, wrong in (("cuda_graphs", settings.cuda_graphs), ("tune", settings.tune != "lora")):
        if wrong:
            remedy = "false" if name == "cuda_graphs" else "lora"
            raise UserError(
                f"train.{name}: {method.kind} prepares something, which it cannot go with; set it to {remedy}"
            )


def in_words(backbone: Backbone, text: str) -> str:
    """A text without the words that a tokenizer of whole words does not know; those of real models know them all."""
    tokenizer = backbone.tokenizer
    if tokenizer.unk_token_id is None:
        return text
    return " ".join(w for w in text.split() if tokenizer.unk_token_id not in tokenizer(w).input_ids)


def class_prompts(backbone: Backbone, items: Sequence[Item]) -> list[str]:
    """Every caption of a set, each once, with the class's name in the place of "[V]"."""
    texts = (c.replace(NAME, item.class_name) for item in items for c in item.captions.values())
    return list(dict.fromkeys(in_words(backbone, re.sub(r"\s+", " ", text)) for text in texts))


def at_a_time(size: tuple[int, int]) -> int:
    """How many pictures of this size (height, width) are drawn together."""
    return max(1, PIXELS // (size[0] * size[1]))


@torch.no_grad()
def drawn(backbone: Backbone, contexts: Context, size: tuple[int, int], steps: int, name: str) -> Tensor:
    """Clean latents (m, C, h, w) that the model as it stands draws in a few steps, one of each context, on its device.

    name: of the noise's stream. size: (height, width) in pixels."""
    shape = backbone.latent_shape(*size)
    noise = torch.randn((len(contexts), *shape), generator=seeds.stream("prepared", name)).to(backbone.device)
    grid, out, n = backbone.step_grid(steps, shape[-2:]).to(backbone.device), [], at_a_time(size)
    for start in range(0, len(contexts), n):
        part = contexts[start : start + n]
        out.append(sample(lambda x, t, c=part: backbone.velocity(x, t, c), noise[start : start + n], grid))
    return torch.cat(out)


def prepare(backbone: Backbone, items: Sequence[Item], asked: Preparation, seed: int) -> Prepared:
    """Make what is asked for a training on a set, an adapter apart. UserError where pictures of the class are to be drawn and
    those of the set have several sizes."""
    sizes = {item.size for item in items}
    pictures = one = None
    if asked.pictures and not asked.adapter:
        if len(sizes) > 1:
            raise UserError(f"{items[0].file.parent}: pictures of {len(sizes)} sizes; pictures of the class need one")
        prompt = in_words(backbone, f"a {items[0].class_name}")
        ((one,), (size,)) = backbone.context([prompt]), sizes
        pictures = drawn(backbone, [one] * asked.pictures, size, asked.rollout_steps, f"{prompt}/{seed}")
    prompts = backbone.context(class_prompts(backbone, items)) if asked.prompts else []
    other = type(backbone)(backbone.settings).velocity if asked.untouched else None
    return Prepared(pictures, one, prompts, other)


@torch.no_grad()
def merge_in(transformer: nn.Module, folder: Path) -> None:
    """Put a folder's LoRA into the weights, w + (alpha / r) b a, for good."""
    weights, settings = lora.read(folder)
    scale = settings["lora_alpha"] / settings["r"]
    for name in sorted({key.rsplit(".lora_", 1)[0] for key in weights}):
        layer: Any = transformer.get_submodule(name)
        a, b = (weights[f"{name}.lora_{half}.weight"].to(layer.weight.device, torch.float32) for half in "AB")
        merge(layer.weight.data, None, layer.weight.data, a, b, scale)


def self_made(
    backbone: Backbone, texts: Sequence[str], asked: Preparation, size: tuple[int, int], folder: Path
) -> list[Item]:
    """An image-text set that the model itself draws in a few steps: a picture of each text, as many as asked, in turn."""
    said = [texts[i % len(texts)] for i in range(asked.pictures)]
    latents = drawn(backbone, backbone.context(said), size, asked.rollout_steps, "self-made")
    folder.mkdir(parents=True, exist_ok=True)
    out, n = [], at_a_time(size)
    for start in range(0, len(said), n):
        for i, image in enumerate(backbone.decode(latents[start : start + n]), start):
            file = folder / f"{i:04d}.png"
            to_pil(image.float().cpu()).save(file)
            out.append(Item(file, size, {"said": said[i]}, "picture"))
    return out


def make_adapter(
    backbone: Backbone, asked: Preparation, settings: Train, texts: Sequence[str], size: tuple[int, int], work: Path
) -> Path:
    """The adapter that a preparation asks for, made of a few-step model -> its folder.

    First the de-distillation adapter: supervised fine-tuning on pictures that the model itself drew in its few steps, of
    ordinary texts. For "repair" then a second LoRA, on top of that one: it imitates the untouched model's few steps.
    """
    items = self_made(backbone, texts, asked, size, work / "pictures")
    how = settings.model_copy(update={"steps": asked.steps, "checkpoints": ()})

    def made(model: Backbone, kind: str, **said: Any) -> Path:
        method = objectives.method(kind, {kind: said}, "the adapter")
        asks = of(method)
        if asks:
            method = ready(method, prepare(model, items, asks, 0))
        folder = work / kind
        done = train(model, items, method, how, seed=0, learning_rate=asked.rate, work=folder, name=f"{kind} adapter")
        return results.step_folder(done, asked.steps)

    forgets = made(backbone, "sft", states=1)
    if asked.adapter == "undistilled":
        return forgets
    student = type(backbone)(backbone.settings)
    merge_in(student.transformer, forgets)
    return made(student, "imitation", rollout_steps=asked.rollout_steps)


@dataclass(frozen=True)
class Joined:
    """Two LoRAs of one shape as one of twice the rank, whose change of the weights is the sum of theirs."""

    backbone: Backbone
    one: Path
    other: Path

    def save(self, folder: Path) -> None:
        """Write it into an empty folder; UserError where the two differ in rank, alpha or layers."""
        (mine, how), (theirs, as_well) = lora.read(self.one), lora.read(self.other)
        if mine.keys() != theirs.keys() or any(how[k] != as_well[k] for k in ("r", "lora_alpha")):
            raise UserError(f"{self.other}: another rank, alpha or other layers than {self.one}; train both alike")
        joined = {k: torch.cat([mine[k], theirs[k]], 0 if ".lora_A." in k else 1) for k in mine}
        self.backbone.save_lora(folder, joined, how | {"r": 2 * how["r"], "lora_alpha": 2 * how["lora_alpha"]})


def repaired(backbone: Backbone, finished: Path, kept: Sequence[int], repair: Path, owner: Any) -> Path:
    """A finished training with a repair LoRA in each of its checkpoints -> a new folder beside it, which appears whole."""
    out = finished.with_name(f"{finished.name}-repaired")
    remove(out)
    with whole(out) as part:
        part.mkdir()
        for name in (results.LOG_FILE, results.TIME_FILE, IDENTITY):
            (part / name).write_bytes((finished / name).read_bytes())
        for step in kept:
            joined: Any = Joined(backbone, results.step_folder(finished, step), repair)
            results.save_weights(joined, results.step_folder(part, step), owner)
    return out


def train_prepared(
    backbone: Backbone,
    items: list[Item],
    method: Method,
    settings: Train,
    *,
    seed: int,
    learning_rate: float,
    work: Path,
    name: str,
    adapter: Path | None = None,
) -> Path:
    """`train`, for a method that asks for a preparation. backbone: the few-step model, or the base where that is asked for.
    adapter: what `make_adapter` made, where one is asked for."""
    asked = of(method)
    assert asked is not None
    check(method, settings)
    given = prepare(backbone, items, asked, seed)
    if asked.adapter == "undistilled":
        assert adapter is not None
        merge_in(backbone.transformer, adapter)
    done = train(
        backbone, items, ready(method, given), settings, seed=seed, learning_rate=learning_rate, work=work, name=name
    )
    if asked.adapter != "repair":
        return done
    assert adapter is not None
    return repaired(backbone, done, settings.kept, adapter, {"repairs": done.name})
