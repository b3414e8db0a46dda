"""The section `backbone`: which model, where it comes from and how it runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from dopsd.config.section import Count, Layer, Section


class Model(Section):
    """What all backbones share."""

    model: str
    revision: str | None
    device: Literal["auto", "cpu", "cuda"]
    dtype: Literal["float32", "bfloat16"]
    quantize: Literal["none", "int8", "fp8", "nf4"]
    compile_blocks: bool
    student_tokens: Count


class ZImage(Model):
    """Z-Image-Turbo and the miniature: the teacher sees the picture through a Qwen3-VL."""

    name: Literal["zimage"]
    vlm: str
    vlm_revision: str | None
    teacher_layer: Layer
    teacher_tokens: Count
    min_pixels: Count
    max_pixels: Count


class Klein(Model):
    """FLUX.2-klein: the teacher sees the picture through the edit branch."""

    name: Literal["klein"]
    text_layers: Annotated[tuple[Count, ...], Field(min_length=1)]
    identity_instruction: str
    edit_instruction: str
    native_steps: Count

    @field_validator("identity_instruction", "edit_instruction")
    @classmethod
    def _holds_the_prompt(cls, text: str) -> str:
        if text.count("{prompt}") != 1 or text.replace("{prompt}", "").count("{"):
            raise ValueError("must hold {prompt} once, where the prompt goes")
        return text


Backbone = Annotated[ZImage | Klein, Field(discriminator="name")]
