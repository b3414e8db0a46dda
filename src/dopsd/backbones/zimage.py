"""Z-Image-Turbo and the miniature: the same classes, other weights.

Student: the pipeline's own text encoder and template. Teacher: a Qwen3-VL whose language-model weights are overwritten by
that text encoder's, so that the vision tower speaks into the encoder which the generator knows (arXiv 2605.05204 and its
released code).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel
from diffusers.pipelines.z_image.pipeline_z_image import ZImagePipeline
from PIL.Image import Image
from torch import Tensor
from transformers import AutoProcessor, Qwen3VLForConditionalGeneration

from dopsd.backbones.base import Reading
from dopsd.backbones.hub import load_part
from dopsd.backbones.pipeline import PipelineBackbone
from dopsd.backbones.vlm import user_turn
from dopsd.config import backbone as config
from dopsd.method import flow
from dopsd.method.context import Condition, Context
from dopsd.support.errors import UserError

LAYER = -2  # hidden_states[-2]: what the pipeline reads from the prompt


def turned(x: Tensor, turns: Tensor) -> Tensor:
    """Rotary position: pairs of neighbouring channels of x (n, tokens, heads, d), turned by the complex turns (n, tokens,
    d / 2), in float32 and back to x's type."""
    a, b = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = torch.view_as_real(turns).unsqueeze(2).unbind(-1)
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2).type_as(x)


class Attend:
    """diffusers' `ZSingleStreamAttnProcessor`, with rotary positions in real numbers: torch.compile does not fuse complex
    ones, and leaves them to five passes over queries and keys in float32."""

    _attention_backend = _parallel_config = None  # what diffusers sets

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, freqs_cis=None) -> Tensor:
        layers = (attn.to_q, attn.to_k, attn.to_v)
        q, k, v = (layer(hidden_states).unflatten(-1, (attn.heads, -1)) for layer in layers)
        q, k = (turned(norm(x), freqs_cis) for norm, x in ((attn.norm_q, q), (attn.norm_k, k)))  # pyright: ignore[reportArgumentType] - none is None here
        mask = None if attention_mask is None else attention_mask[:, None, None, :]
        options = {"backend": self._attention_backend, "parallel_config": self._parallel_config}
        out = dispatch_attention_fn(q, k, v, attn_mask=mask, dropout_p=0.0, is_causal=False, **options)  # pyright: ignore[reportArgumentType] - as diffusers itself calls it
        return attn.to_out[0](out.flatten(2, 3).type_as(q))


class ZImage(PipelineBackbone[config.ZImage]):
    """See `Backbone`. settings: the section `backbone` of params.yaml."""

    pipeline, transformer_class, vae_class = ZImagePipeline, ZImageTransformer2DModel, AutoencoderKL
    comfy, thinking = "diffusion_model.", True

    def __init__(self, settings: config.ZImage):
        super().__init__(settings)
        self._vlm: tuple[Any, Any] | None = None
        self._processor: Any = None

    def ease(self, transformer: Any) -> None:
        for block in (*transformer.noise_refiner, *transformer.context_refiner, *transformer.layers):
            block.attention.set_processor(Attend())

    def latent_channels(self) -> int:
        if self.vae.config.shift_factor is None:
            raise UserError(
                f"{self.settings.model}: its autoencoder has no shift_factor; name a model of Z-Image's kind"
            )
        return self.vae.config.latent_channels

    def text_width(self) -> tuple[int, int]:
        return self._shapes["cap_feat_dim"], 1

    @property
    def processor(self) -> Any:
        """The VLM's, with pictures of the size that the teacher sees; loaded at the first use."""
        if self._processor is None:
            processor = load_part(AutoProcessor, self.settings.vlm, self.settings.vlm_revision, "VLM's processor")
            pixels = {"shortest_edge": self.settings.min_pixels, "longest_edge": self.settings.max_pixels}
            processor.image_processor.size = pixels
            self._processor = processor
        return self._processor

    def teacher_reads(self, prompt: str, size: tuple[int, int], edited: bool = False) -> Reading:
        parts = [{"type": "image"}, {"type": "text", "text": prompt}]
        turn = [{"role": "user", "content": parts}]
        text = self.processor.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        words = len(self.processor.tokenizer(text, verbose=False).input_ids) - 1  # one stands for the picture's
        seen = self.processor.image_processor
        tokens = words + seen.get_number_of_image_patches(*size) // seen.merge_size**2
        return Reading(self._seen(tokens, prompt), self.settings.teacher_tokens, prompt)

    def _seen(self, tokens: int, prompt: str) -> int:
        """How many tokens a picture with its prompt is; UserError where the teacher does not read so many."""
        if tokens > self.settings.teacher_tokens:
            raise UserError(
                f"a picture with its prompt is {tokens} tokens, more than backbone.teacher_tokens "
                f"{self.settings.teacher_tokens}; lower backbone.max_pixels or shorten the prompt {prompt[:60]!r}"
            )
        return tokens

    @property
    def vlm(self) -> tuple[Any, Any]:
        """Processor and Qwen3-VL around the pipeline's own text encoder, loaded at the first use."""
        if self._vlm is None:
            source, revision = self.settings.vlm, self.settings.vlm_revision
            model = load_part(Qwen3VLForConditionalGeneration, source, revision, "VLM", dtype=self.dtype)
            try:
                # assigned, not copied: one language model in memory serves both
                model.model.language_model.load_state_dict(self.text[1].state_dict(), assign=True)
            except RuntimeError as error:
                raise UserError(
                    f"backbone.vlm {source}: its language model does not fit the text encoder of {self.settings.model} "
                    f"({' '.join(str(error).split())[:300]}); name the VLM of the same family and size"
                ) from None
            self._vlm = self.processor, model.eval().requires_grad_(False).to(self.device)
        return self._vlm

    def free_encoders(self) -> None:
        self._vlm = None
        super().free_encoders()

    @torch.no_grad()
    def context(
        self,
        prompts: Sequence[str],
        images: Sequence[Image] | None = None,
        layer: int | None = None,
        references: Sequence[Sequence[Image]] | None = None,
    ) -> Context:
        if references and any(references):
            raise UserError("backbone zimage reads no reference pictures; choose klein for the editing task")
        if images is None:
            layer = LAYER if layer is None else layer
            return [f for i in range(0, len(prompts), 64) for f in self._text_features(prompts[i : i + 64], layer)]
        layer = self.settings.teacher_layer if layer is None else layer
        layers = self.text[1].config.num_hidden_layers
        if -layer > layers + 1:
            raise UserError(
                f"backbone.teacher_layer {layer}: the text encoder of {self.settings.model} has {layers} layers; -2 is "
                "the one that the pipeline reads"
            )
        return [self._image_features(p, image, layer) for p, image in zip(prompts, images, strict=True)]

    def _text_features(self, prompts: Sequence[str], layer: int) -> Context:
        """As `ZImagePipeline._encode_prompt`, padded to the longest prompt instead of always to the maximum."""
        tokenizer, encoder = self.text
        turns = [self.turn(p) for p in prompts]
        limit = {"truncation": True, "max_length": self.settings.student_tokens}
        inputs = tokenizer(turns, padding=True, return_tensors="pt", **limit).to(self.device)
        real = inputs.attention_mask.bool()
        output = encoder(input_ids=inputs.input_ids, attention_mask=real, output_hidden_states=True, use_cache=False)
        return [Condition(f[m]) for f, m in zip(output.hidden_states[layer], real, strict=True)]

    def _image_features(self, prompt: str, image: Image, layer: int) -> Condition:
        """One user turn, image first, no system prompt; every token's features, the image's included: (length, width)."""
        processor, model = self.vlm
        inputs = user_turn(processor, [image], prompt).to(self.device)
        self._seen(inputs["input_ids"].shape[1], prompt)
        return Condition(model.model(**inputs, output_hidden_states=True, use_cache=False).hidden_states[layer][0])

    def velocity(self, x: Tensor, t: Tensor, context: Context) -> Tensor:
        # the pipeline passes t = 1 - sigma and integrates -output over sigma, so the output is dx/dt as it is
        samples = list(x.to(self.dtype).unsqueeze(2).unbind(0))
        captions = [c.features.to(x.device, self.dtype) for c in context]
        with self.precision():
            out = self.transformer(samples, t.to(x.device), captions, return_dict=False)[0]
        return torch.stack(list(out)).squeeze(2).float()

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        latents = self.vae.encode(images.to(self.device)).latent_dist.mode()
        return (latents - self.vae.config.shift_factor) * self.vae.config.scaling_factor

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        latents = latents / self.vae.config.scaling_factor + self.vae.config.shift_factor
        return self.vae.decode(latents).sample.clamp(-1, 1)

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        self.check_size(height, width)
        return self.channels, height // self.factor, width // self.factor

    def random_times(self, n: int, size: Sequence[int], generator: torch.Generator) -> Tensor:
        return flow.shifted(torch.rand(n, generator=generator), self.scheduler.config.shift)


BACKBONE = ZImage
