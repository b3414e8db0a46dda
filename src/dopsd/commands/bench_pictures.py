"""`dopsd bench`: the pictures that a benchmark's scorer reads, of the untouched model and of a tuned one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dopsd.backbones.base import Backbone
from dopsd.commands.benchmarks import BENCHMARKS, Benchmark, Picture, Prompt
from dopsd.commands.draw import opened
from dopsd.commands.measure import processes
from dopsd.config.preset import Preset
from dopsd.evaluation.drawing import draw
from dopsd.method.context import Condition
from dopsd.sets.listing import mark
from dopsd.study.keys import SEES, WHO_RUNS_IT
from dopsd.study.store import content
from dopsd.support.alone import alone
from dopsd.support.errors import UserError
from dopsd.support.files import tidy, whole, write_json, write_text
from dopsd.support.pictures import contact_sheet, to_pil
from dopsd.support.progress import progress
from dopsd.support.seeds import stream
from dopsd.support.text import json_object, read_text
from dopsd.training import lora as adapter
from dopsd.training.prepared import at_a_time
from dopsd.training.state import fingerprint
from dopsd.training.weights import WHOLE, put

Settings = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """What is drawn. every: all prompts of the benchmark; prompts: the first of them, which are asked for. noises: pictures
    of each. Size and steps are those of `preset.tune`."""

    preset: Preset
    name: str
    every: Sequence[Prompt]
    prompts: Sequence[Prompt]
    noises: int
    seed: int

    @property
    def benchmark(self) -> Benchmark:
        return BENCHMARKS[self.name]

    def draw(self, models: Mapping[str, Path | None], out: Path) -> None:
        """Write out/MODEL/BENCHMARK, the folder for the scorer, and out/MODEL/BENCHMARK.json, what it was drawn with.

        models: the weights of each: first the untouched one's, None, then at most one with some. The noise of a picture hangs
        on the seed, the number of its prompt and its own, so models share it, and a file that is there is not drawn again.
        All processes must call; the main one writes. UserError, before anything is drawn, where a folder was drawn with
        other settings, and as `draw.opened`.
        """
        with alone(out, "a drawing of a benchmark"):
            settings = {model: self._settled(out / model, weights) for model, weights in models.items()}
            wanted = self.benchmark.pictures(self.prompts, self.noises)
            left = {m: [p for p in wanted if not (out / m / self.name / p.file).exists()] for m in models}
            state, backbone = processes(self.preset.backbone), None
            if any(left.values()):
                tuned = next((w for m, w in models.items() if w and left[m]), None)
                backbone = opened(self.preset, [(p.where, p.text) for p in self.prompts], tuned)
            state.wait_for_everyone()  # all know what is left before one writes
            if state.is_main_process:
                mark(out)
                for model, said in settings.items():
                    self._begin(out / model, said)
            if backbone:
                contexts = self._contexts(backbone, left)
                for model, weights in models.items():
                    if weights and left[model]:
                        put(backbone, weights)
                    self._draw(backbone, contexts, left[model], out / model / self.name)
            state.wait_for_everyone()

    def _settled(self, folder: Path, weights: Path | None) -> Settings:
        """What a model's pictures are drawn with; UserError where those that are there were drawn otherwise, or are of more
        prompts. More prompts than before are no difference."""
        how, model = self.preset.tune, self.preset.backbone
        said: Settings = model.model_dump(mode="json", exclude={*WHO_RUNS_IT, *SEES})
        said |= {
            "weights": weights and content(weights / WHOLE if (weights / WHOLE).exists() else weights / adapter.FILE)
        }
        said |= {"nfe": how.nfe, "guidance": 0, "size": how.size, "seed": self.seed, "noises": self.noises}
        digest = fingerprint([(p.name, p.text, dict(p.row)) for p in self.every])
        said |= {"prompts": len(self.every), "prompts_digest": digest}
        file = folder / f"{self.name}.json"
        if not file.exists():
            if (folder / self.name).exists():
                raise UserError(f"{folder / self.name}: nothing says how it was drawn ({file.name}); remove it")
            return said | {"first": len(self.prompts)}
        before = json_object(read_text(file), str(file))
        first = before.pop("first", None)
        for key in said | before:
            if before.get(key) != said.get(key):
                raise UserError(
                    f"{file}: {key} {before.get(key)!r}, and {said.get(key)!r} is asked for; name another --out (or "
                    "--name, of tuned weights), or ask for what is there"
                )
        if not isinstance(first, int) or first > len(self.prompts):
            raise UserError(f"{file}: first {first!r} prompts; ask for as many or more (--only), or name another --out")
        return said | {"first": len(self.prompts)}

    def _begin(self, folder: Path, said: Settings) -> None:
        """Write what a folder is drawn with, and what the scorer reads beside the pictures."""
        write_json(said, folder / f"{self.name}.json")
        tidy(folder)
        for file, text in self.benchmark.texts(self.prompts, folder / self.name).items():
            if not file.exists() or read_text(file) != text:
                write_text(text, file)

    @torch.no_grad()
    def _contexts(self, backbone: Backbone, left: Mapping[str, Sequence[Picture]]) -> dict[int, Condition]:
        """The prompts that are still to be drawn, encoded, by their numbers: in RAM, for those of a whole benchmark are
        gigabytes. One at a time, so that it makes no difference which are left."""
        numbers = sorted({p.prompt for pictures in left.values() for p in pictures})
        out = {}
        for i in progress(
            numbers, desc="prompts", mininterval=5, shown=processes(self.preset.backbone).is_main_process
        ):
            (said,) = backbone.context([self.prompts[i].text])
            out[i] = Condition(said.features.cpu())
        backbone.free_encoders()
        return out

    def _draw(
        self, backbone: Backbone, contexts: Mapping[int, Condition], left: Sequence[Picture], folder: Path
    ) -> None:
        """Draw files under the weights that are active; each appears whole."""
        state, size = processes(self.preset.backbone), self.preset.tune.size
        batch, each = at_a_time((size, size)), len(left[0].noises) if left else 1
        at_once = max(1, batch * state.num_processes // each)
        what = {"desc": folder.parent.name, "unit": " pictures", "mininterval": 5}
        with progress(total=len(left) * each, **what, shown=state.is_main_process) as bar:
            for start in range(0, len(left), at_once):
                files = left[start : start + at_once]
                noise = torch.stack([self._noise(backbone, f.prompt, k) for f in files for k in f.noises])
                given = [contexts[f.prompt] for f in files for _ in f.noises]
                images = draw(backbone, given, noise, self.preset.tune.nfe, batch)
                if state.is_main_process:
                    for file, tiles in zip(files, images.split(each), strict=True):
                        with whole(folder / file.file) as part:
                            to_pil(contact_sheet(tiles, min(each, 2))).save(part)
                bar.update(len(noise))

    def _noise(self, backbone: Backbone, prompt: int, number: int) -> Tensor:
        shape = backbone.latent_shape(self.preset.tune.size, self.preset.tune.size)
        return torch.randn(shape, generator=stream("bench", self.seed, prompt, number))
