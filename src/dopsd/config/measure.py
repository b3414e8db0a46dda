"""The section `measure` of a preset: which instruments look at a tuned model. An instrument is left out by null only."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from dopsd.config.section import Count, Section


class Source(Section):
    """A model: a local folder or a hub name."""

    model: str
    revision: str | None


class Clip(Source):
    """A contrastive model of pictures and texts. text: whether prompts are scored, too."""

    tokenizer: Literal["open_clip", "world"]
    text: bool

    @model_validator(mode="after")
    def _can_read(self) -> Clip:
        if self.text and self.tokenizer == "world":
            raise ValueError(
                "text true needs tokenizer open_clip: the world's CLIP has no words for what people tune on"
            )
        return self


class Reward(Source):
    """A contrastive model that was tuned on people's choices: weights in `file` for open_clip's `architecture`."""

    architecture: str
    file: str


class Measure(Section):
    """What is drawn for measuring, and who looks at it."""

    writer: Source | None
    new_prompts: Count
    seed: int
    ordinary: str
    ordinary_prompts: Annotated[int, Field(ge=8)]
    dino: Source | None
    lpips: Source | None
    clip: Clip | None
    judge: Source | None
    reward: Reward | None
