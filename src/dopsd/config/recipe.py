"""The section `recipe`: how the miniature was made."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dopsd.config.section import Count, Name, Positive, Section, Seed, Share


class Part(Section):
    """A part of the recipe."""

    steps: Count
    minutes: Positive | None
    batch_size: Count
    learning_rate: Positive


class Pooled(Part):
    """A part that draws its scenes once."""

    scenes: Count


class Encoder(Pooled):
    """The text encoder; `identity_weight` of the loss that tells names apart."""

    identity_weight: Annotated[float, Field(ge=0)]


class Align(Pooled):
    """The alignment of the vision tower; `folder` names the variant."""

    word_weight: Annotated[float, Field(ge=0)]
    reading_weight: Annotated[float, Field(ge=0)]
    reading_after: Annotated[int, Field(ge=0)]  # steps without the readers' loss, which halves the speed
    panel_steps: Annotated[int, Field(ge=0)]  # of the readers' own training on text
    folder: Name


class Base(Pooled):
    """The many-step generator."""

    ema: Share
    captions: Count
    caption_dropout: Share
    high_noise_share: Share
    high_noise_sigma: Share
    compiled: Literal["auto", True, False]


class Turbo(Pooled):
    """The step distillation; `seed` is added to the recipe's, `folder` names the result."""

    seed: int
    folder: Name
    fake_learning_rate: Positive
    fake_updates: Count
    guidance: Annotated[float, Field(ge=0)]
    rollout_steps: Count
    ema: Share
    captions: Count
    compiled: Literal["auto", True, False]


class Christen(Section):
    """Which unheard name "[V]" is: over so many pictures as a thing, and as many as a look, of each name."""

    pictures: Count


class Recipe(Section):
    """How the miniature was made."""

    seed: Seed
    reader: Part
    clip: Pooled
    encoder: Encoder
    vision: Pooled
    align: Align
    align_plain: Align
    autoencoder: Part
    base: Base
    turbo: Turbo
    turbo_2: Turbo
    christen: Christen
