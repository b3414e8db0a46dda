"""All that the encoders make of a set: they run once, before training, are kept on disk, and are freed."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from dopsd.backbones.base import Backbone
from dopsd.config.backbone import Model
from dopsd.method.context import Condition, Context
from dopsd.sets.items import Item, digest
from dopsd.support import sealed
from dopsd.support.errors import UserError
from dopsd.support.files import whole
from dopsd.support.pictures import from_pil
from dopsd.support.progress import progress
from dopsd.training import state
from dopsd.training.tensors import read

FILE = "features.safetensors"  # in the folder of a picture's features


@dataclass(frozen=True)
class Visit:
    """One image with one of its captions, encoded: x0 (C, h, w), c_s and c_t (None where no teacher is needed)."""

    latents: Tensor
    student: Condition
    teacher: Condition | None


def content(item: Item) -> dict:
    """All of an item that a training depends on, whatever its folder is called."""
    files = {"image": digest(item.file), "inputs": [digest(f) for f in item.inputs]}
    ground = {} if item.background == "white" else {"background": item.background}
    return files | ground | {"size": item.size, "captions": item.captions}


def model_content(settings: Model) -> dict:
    """What a backbone's features depend on: its settings, and of a local folder the sizes and times of its weights."""
    out = settings.model_dump()
    for key in ("model", "vlm"):
        folder = Path(out.get(key) or "")
        if out.get(key) and folder.is_dir():
            files = sorted(folder.rglob("*.safetensors"))
            encoders = [f for f in files if f.parent.name != "transformer"]
            out[f"{key} files"] = [
                (str(f.relative_to(folder)), f.stat().st_size, f.stat().st_mtime_ns) for f in encoders
            ]
    return out


def _packed(name: str, context: Context) -> dict[str, Tensor]:
    tensors = {}
    for i, c in enumerate(context):
        tensors[f"{name}.{i}"] = c.features.detach().cpu().contiguous()
        tensors |= {f"{name}.{i}.{j}": r.detach().cpu().clone() for j, r in enumerate(c.references)}
    return tensors


def _unpacked(name: str, tensors: dict[str, Tensor], n: int) -> Context:
    def references(i: int) -> tuple[Tensor, ...]:
        count = sum(k.startswith(f"{name}.{i}.") for k in tensors)
        return tuple(tensors[f"{name}.{i}.{j}"] for j in range(count))

    return [Condition(tensors[f"{name}.{i}"], references(i)) for i in range(n)]


def encode(backbone: Backbone, item: Item, with_teacher: bool, shown: Item | None = None) -> dict[str, Tensor]:
    """An item's latents and contexts as named tensors. shown: whose picture the teacher sees, if not the item's own."""
    image, texts = item.image(), list(item.captions.values())
    references = [item.references()] * len(texts) if item.inputs else None
    tensors = {"latents": backbone.encode(from_pil(image)[None])[0].cpu().contiguous()}
    tensors |= _packed("student", backbone.context(texts, references=references))
    if with_teacher:
        seen = shown.image() if shown else image
        tensors |= _packed("teacher", backbone.context(texts, [seen] * len(texts), references=references))
    return tensors


class Encoded:
    """A set, encoded. Pictures of one size form a bucket; every batch is of one bucket.

    cache: a folder where features are kept under a name made of all that they depend on (images, captions, sizes, model), so
    that a second training of the same pictures does not load the encoders; None keeps nothing. Damaged ones, and those of
    another model or picture, are said and made anew. shown: what the teacher sees in the items' place, in turn: a control.
    """

    def __init__(
        self,
        backbone: Backbone,
        items: list[Item],
        with_teacher: bool,
        cache: Path | None = None,
        shown: list[Item] | None = None,
    ):
        self.visits: dict[tuple[int, int], list[list[Visit]]] = {}
        for i, item in enumerate(progress(items, desc="encode", leave=False, shown=len(items) > 1)):
            other = shown[i % len(shown)] if shown else None
            tensors, n = self._tensors(backbone, item, with_teacher, cache, other), len(item.captions)
            student = _unpacked("student", tensors, n)
            teacher = _unpacked("teacher", tensors, n) if with_teacher else [None] * n
            visits = [Visit(tensors["latents"], s, t) for s, t in zip(student, teacher, strict=True)]
            self.visits.setdefault(item.size, []).append(visits)
        backbone.free_encoders()

    @staticmethod
    def _tensors(
        backbone: Backbone, item: Item, with_teacher: bool, cache: Path | None, shown: Item | None
    ) -> dict[str, Tensor]:
        if cache is None or shown:  # what is shown in a picture's place is no feature of the picture
            return encode(backbone, item, with_teacher, shown)
        mine, model = content(item), model_content(backbone.settings)
        folder = cache / state.fingerprint(mine, model, with_teacher)
        owner = {"picture": mine["image"], "captions": state.fingerprint(mine), "encoders": state.fingerprint(model)}
        if folder.exists():
            try:
                sealed.check(folder, owner)
                return read(folder / FILE)[0]
            except UserError as error:
                state.to_stderr(f"{error}; {item.file.name} is encoded anew")
        tensors = encode(backbone, item, with_teacher)
        with whole(folder) as part:
            part.mkdir()
            save_file(tensors, part / FILE, {"captions": json.dumps(item.captions)})
            sealed.seal(part, owner)
        return tensors

    def draw(self, n: int, rng: random.Random) -> list[Visit]:
        """n visits of one bucket: buckets by their number of images, then images and captions uniformly."""
        images = rng.choices(list(self.visits.values()), [len(v) for v in self.visits.values()])[0]
        return [rng.choice(rng.choice(images)) for _ in range(n)]
