"""Blur and lost contrast of the world's pictures, against renders of what is read in them.

Which outline or style a picture shows moves any measure of edges more than a blur does. So each picture is held against the
world's renders of the attributes that the reader reads *in it*, with fresh free numbers: what it draws falls out, how it
draws it stays. The proof, what known degradations do to each score, is `reports/tables/degradations.csv`.

One thing it cannot tell: the fog of a generator that draws in too few steps is mostly read as watercolour, the style that is
soft of itself, so steepness over renders flatters it. `blur_read` does not, since the reader has learnt to tell the two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from dopsd.config.section import Name, Section
from dopsd.evaluation.instruments import Score, View
from dopsd.evaluation.instruments.reader import ByReader, Reader
from dopsd.evaluation.rows import NEW, ORDINARY
from dopsd.support.seeds import stream
from dopsd.world.scenes import Scenes, render, sample_scenes, visible

WINDOW = 7  # pixels a side
ENOUGH = 0.25  # of a picture's largest local range: windows with less hold no edge
DRAWS = 4  # renders that a picture is held against
BLANK = 0.02  # a picture whose largest local range (of 2) is less has no edge at all


def _largest(x: Tensor) -> Tensor:
    return F.max_pool2d(x, WINDOW, stride=1)


def steepness(images: Tensor) -> Tensor:
    """Largest gradient over local range in windows of 7 x 7 pixels, a mean over the windows with enough range: (n, 3, H, W)
    -> (n,). 1 is a step from one pixel to the next; 0 where there is no edge. Contrast and fog leave it as it is."""
    range_ = _largest(images) + _largest(-images)
    gx = F.pad((images[..., 1:] - images[..., :-1]).abs(), (0, 1))
    gy = F.pad((images[..., 1:, :] - images[..., :-1, :]).abs(), (0, 0, 0, 1))
    # a window's own gradients lie between its own pixels: one row and column fewer
    inner = F.max_pool2d(torch.maximum(gx, gy), WINDOW - 1, stride=1)[..., : range_.shape[-2], : range_.shape[-1]]
    largest = range_.amax((1, 2, 3), keepdim=True)
    counted = (range_ >= ENOUGH * largest) & (largest > BLANK)
    share = torch.where(counted, inner / range_.clamp(min=1e-6), 0)
    return share.sum((1, 2, 3)) / counted.sum((1, 2, 3)).clamp(min=1)


def contrast(images: Tensor) -> Tensor:
    """Root mean square deviation of a picture's pixels from its mean colour: (n, 3, H, W) -> (n,)."""
    return images.var((2, 3), correction=0).mean(1).sqrt()


MEASURES: dict[str, Callable[[Tensor], Tensor]] = {"steepness": steepness, "contrast": contrast}


def like(read: Tensor, name: object) -> Tensor:
    """Renders of attributes (n, 9) with free numbers of their own, and what the style hides at random, too, since nobody can
    read it and it may yet move edges (a sketch's outline): (n, 3, 64, 64), on the device of what is
    read."""
    generator = stream("blur", name)
    anything = sample_scenes(len(read), generator, concepts=True).to(read.device)
    return render(Scenes(torch.where(visible(read), read, anything.attributes), anything.free))


@torch.no_grad()
def relative(images: Tensor, reader: Reader, names: tuple[str, ...] = tuple(MEASURES)) -> dict[str, Tensor]:
    """Measures of each picture (n, 3, 64, 64) over the mean of those of `DRAWS` renders of what is read in it: {name: (n,)};
    1 is a render's own."""
    total = {name: torch.zeros(len(images), device=images.device) for name in names}
    for part in torch.arange(len(images), device=images.device).split(256):
        read = reader.read(images[part])
        for k in range(DRAWS):
            renders = like(read, k)
            for name in names:
                total[name][part] += MEASURES[name](renders) / DRAWS
    return {name: MEASURES[name](images) / total[name] for name in names}


class Settings(Section):
    """features: of which instrument, the reader, attributes and blur are read."""

    features: Name = "reader"


class Blur:
    """How steep the edges are, how much contrast is left, and how many pixels of blur the reader reads."""

    Settings = Settings
    scores: ClassVar = {
        "steepness": Score(
            "near one", "steepness of edges, over renders of what is read in the picture", (NEW, ORDINARY), ("truth",)
        ),
        "contrast": Score("near one", "contrast, over the same renders", (NEW, ORDINARY), ("truth",)),
        "blur_read": Score("lower", "pixels of blur, as the reader reads them", (NEW, ORDINARY), ("truth",)),
    }

    def __init__(self, settings: Settings, device: torch.device, opened: Callable[[str], Any]):
        self.of: ByReader = opened(settings.features)

    def score(self, name: str, view: View) -> Tensor:
        """(n,)."""
        images, reader = self.of.images(view), self.of.reader
        if name == "blur_read":
            return reader.damages(images)[:, 0].cpu()
        return view.once("over renders", lambda: relative(images, reader))[name].cpu()


INSTRUMENT = Blur
