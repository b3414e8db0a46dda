"""Pictures of a few prompts with and without tuned weights: each in full size, and a sheet that shows all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import PartialState
from torch import Tensor

from dopsd.backbones.base import Backbone
from dopsd.evaluation.drawing import draw
from dopsd.method.context import Context
from dopsd.report.grids import picture_grid, save
from dopsd.support.files import whole
from dopsd.support.pictures import to_bytes, to_pil
from dopsd.support.seeds import stream
from dopsd.support.text import slug

PREVIEW = 320  # pixels a side of a picture on a sheet


@dataclass(frozen=True)
class Gallery:
    """Prompts with their noise, encoded once: the same pictures again and again, as inference draws them."""

    prompts: tuple[str, ...]
    contexts: Context
    noise: Tensor
    nfe: int

    @classmethod
    def of(cls, backbone: Backbone, prompts: tuple[str, ...], size: int, nfe: int, seed: int) -> Gallery:
        """size: pixels a side."""
        noise = torch.randn(len(prompts), *backbone.latent_shape(size, size), generator=stream("gallery", seed))
        return cls(prompts, backbone.context(prompts), noise, nfe)

    def drawn(self, backbone: Backbone) -> Tensor:
        """Pictures (prompts, 3, H, W) in [-1, 1] under the weights that are active.

        Every process draws as many, the first prompts once more where they do not come out even: processes that share a model
        out among them wait for each other at every block, and others would have waited at the end.
        """
        n, processes = len(self.noise), PartialState(cpu=backbone.device.type == "cpu").num_processes
        turns = [k % n for k in range(n + -n % processes)]
        return draw(backbone, [self.contexts[k] for k in turns], self.noise[turns], self.nfe, batch_size=1)[:n]


def show(rows: Mapping[str, Tensor], columns: Sequence[str], file: Path) -> None:
    """Rows of pictures (n, 3, H, W) in [-1, 1] with their names, a column a prompt, as a figure in a file."""
    side = next(iter(rows.values())).shape[-1]
    tiles = [[to_bytes(image).permute(1, 2, 0).numpy() for image in images] for images in rows.values()]
    scale = max(1, PREVIEW // side) if side <= PREVIEW else PREVIEW / side
    with whole(file) as part:
        save(picture_grid(tiles, list(columns), list(rows), scale, title=12), part)


def keep(rows: Mapping[str, Tensor], folder: Path) -> None:
    """The same pictures in full size, a PNG each: folder/1-tuned.png is the first prompt's, of the row "tuned". The folder is
    replaced: it must be one that only this writes to."""
    with whole(folder) as part:
        part.mkdir()
        for name, images in rows.items():
            for i, image in enumerate(images, 1):
                to_pil(image).save(part / f"{i}-{slug(name)}.png")
