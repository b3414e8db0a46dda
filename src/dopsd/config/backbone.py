"""The section `backbone`: which model, where it comes from and how it runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from dopsd.config.section import Count, Layer, Said, Section, Steps


class Model(Section):
    """What all backbones share."""

    model: Said
    revision: str | None
    transformer: Said | None = (
        None  # a folder whose transformer takes the place of the model's own: another distillation
    )
    base: Said | None = None  # the same, of the undistilled model: the control of all that is said of few steps
    device: Literal["auto", "cpu", "cuda"]
    dtype: Literal["float32", "bfloat16"]
    quantize: Literal["none", "int8", "fp8", "nf4"]
    compile_blocks: bool
    student_tokens: Count


class ZImage(Model):
    """Z-Image-Turbo and the miniature: the teacher sees the picture through a Qwen3-VL."""

    name: Literal["zimage"]
    vlm: Said
    vlm_revision: str | None
    teacher_layer: Layer
    teacher_tokens: Count
    min_pixels: Count
    max_pixels: Count

    @model_validator(mode="after")
    def _has_a_range(self) -> ZImage:
        if self.min_pixels > self.max_pixels:
            raise ValueError(f"min_pixels {self.min_pixels} is above max_pixels {self.max_pixels}")
        return self


class Klein(Model):
    """FLUX.2-klein: the teacher sees the picture through the edit branch."""

    name: Literal["klein"]
    text_layers: Annotated[tuple[Count, ...], Field(min_length=1)]
    identity_instruction: str
    edit_instruction: str
    native_steps: Steps

    @field_validator("identity_instruction", "edit_instruction")
    @classmethod
    def _holds_the_prompt(cls, text: str) -> str:
        if text.count("{prompt}") != 1 or text.replace("{prompt}", "").count("{"):
            raise ValueError("must hold {prompt} once, where the prompt goes")
        return text


Backbone = Annotated[ZImage | Klein, Field(discriminator="name")]
