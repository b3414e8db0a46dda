"""Krea 2 in its few-step form (Krea-2-Turbo): the text encoder is a Qwen3-VL, so nothing is swapped for the teacher's eye.

Student: the pipeline's own template and tapped layers. Teacher: the same turn through the same encoder, with the picture
before the prompt. diffusers counts time as noise, and its output is dx/dsigma.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage
from diffusers.models.transformers.transformer_krea2 import Krea2Transformer2DModel
from diffusers.pipelines.krea2.pipeline_krea2 import Krea2Pipeline
from PIL.Image import Image
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle
from torch.nn.utils.rnn import pad_sequence
from transformers import Qwen3VLModel

from dopsd.backbones.base import Reading
from dopsd.backbones.hub import load_part
from dopsd.backbones.zimage import ZImage
from dopsd.config.backbones import Krea as Settings
from dopsd.method import flow
from dopsd.method.context import Condition, Context
from dopsd.support.errors import UserError

MU = 1.15  # of the scheduler's shift, for every size: what the pipeline gives a distilled model
PATCH = 2


class Krea(ZImage):
    """See `Backbone`. As Z-Image, a Qwen3-VL sees the picture; here it is the text encoder itself. Latents are patches of
    2 x 2, as the transformer reads them. settings: the section `backbone` of params.yaml."""

    pipeline, transformer_class, vae_class = Krea2Pipeline, Krea2Transformer2DModel, AutoencoderKLQwenImage
    comfy = "diffusion_model."

    def __init__(self, settings: Settings):
        super().__init__(settings)
        index = load_part(Krea2Pipeline, settings.model, settings.revision, "pipeline", only="config")
        if not index.get("is_distilled"):
            raise UserError(
                f"{settings.model}/model_index.json: is_distilled is not true, so this is no few-step model; name its "
                "distilled form, such as krea/Krea-2-Turbo"
            )
        self.taps: list[int] = list(index["text_encoder_select_layers"])
        if len(self.taps) != self._shapes["num_text_layers"]:
            raise UserError(
                f"{settings.model}: its model_index.json names {len(self.taps)} layers of the text encoder, and its "
                f"transformer reads {self._shapes['num_text_layers']}; the two are not of one model"
            )

    def ease(self, transformer: Any) -> None:
        """Its rotary positions are real numbers as they are."""

    @property
    def factor(self) -> int:
        return self.vae.spatial_compression_ratio

    def latent_channels(self) -> int:
        return PATCH**2 * self.vae.config.z_dim

    def text_width(self) -> tuple[int, int]:
        return self._shapes["text_hidden_dim"], 1

    @property
    def text(self) -> tuple[Any, Any]:
        if self._text is None:
            encoder = self.part(Qwen3VLModel, "text_encoder", dtype=self.dtype).eval().requires_grad_(False)
            language = encoder.config.text_config
            self._check_text(self.tokenizer, language)
            if max(self.taps) > language.num_hidden_layers:
                raise UserError(
                    f"{self.settings.model}: its model_index.json names layer {max(self.taps)} of a text encoder of "
                    f"{language.num_hidden_layers}; the two are not of one model"
                )
            self._text = self.tokenizer, encoder.to(self.device)
        return self._text

    @property
    def vlm(self) -> tuple[Any, Any]:
        """The VLM's processor and the text encoder, which is the VLM; UserError where the two do not fit."""
        processor, (tokenizer, encoder) = self.processor, self.text
        eye, shown = encoder.config.vision_config, processor.image_processor
        fits = (eye.patch_size, eye.spatial_merge_size) == (shown.patch_size, shown.merge_size)
        if not fits or processor.tokenizer.get_vocab() != tokenizer.get_vocab():
            raise UserError(
                f"backbone.vlm {self.settings.vlm}: its processor cuts pictures or words in another way than the text "
                f"encoder of {self.settings.model} reads them; name the VLM that the encoder was made of"
            )
        return processor, encoder

    def _asked(self, encoder: Any = None) -> Krea2Pipeline:
        """The pipeline around what is open of it: it knows its template, and how a prompt is read."""
        parts: dict[str, Any] = {"scheduler": self.scheduler, "vae": self.vae, "tokenizer": self.tokenizer}
        return Krea2Pipeline(**parts, text_encoder=encoder, transformer=None, text_encoder_select_layers=self.taps)  # pyright: ignore[reportArgumentType] - diffusers takes None for a part

    def reads(self, prompt: str) -> Reading:
        """The template's suffix stands after what is cut, and its system prompt is not counted."""
        own = self._asked()
        start, around = own.prompt_template_encode_prefix, own.prompt_template_encode_num_suffix_tokens
        skipped, limit = own.prompt_template_encode_start_idx, self.settings.student_tokens
        places = self.tokenizer(start + prompt, return_offsets_mapping=True, verbose=False).offset_mapping[skipped:]
        tokens = len(places) + around
        if tokens <= limit:
            return Reading(tokens, limit, prompt)
        end = places[limit - around - 1][1] if limit > around else 0
        return Reading(tokens, limit, prompt[: max(0, end - len(start))])

    def teacher_reads(self, prompt: str, size: tuple[int, int], edited: bool = False) -> Reading:
        seen = self.processor.image_processor
        words = len(self.processor.tokenizer(self._shown(prompt), verbose=False).input_ids) - 1  # one is the picture's
        tokens = words + seen.get_number_of_image_patches(*size) // seen.merge_size**2
        return Reading(self._seen(tokens, prompt), self.settings.teacher_tokens, prompt)

    def _shown(self, prompt: str) -> str:
        """The student's turn with a picture before the prompt."""
        own, eye = self._asked(), self.processor
        picture = f"{eye.vision_start_token}{eye.image_token}{eye.vision_end_token}"
        return f"{own.prompt_template_encode_prefix}{picture}{prompt}{own.prompt_template_encode_suffix}"

    @torch.no_grad()
    def context(
        self,
        prompts: Sequence[str],
        images: Sequence[Image] | None = None,
        layer: int | None = None,
        references: Sequence[Sequence[Image]] | None = None,
    ) -> Context:
        """See `Backbone`. features (length, layers x width): a token's states in all tapped layers, one after another. A
        layer that is asked for is an error."""
        if layer is not None:
            raise UserError("backbone krea reads the layers that its model_index.json names; leave probe.layers empty")
        if references and any(references):
            raise UserError("backbone krea reads no reference pictures; choose klein for the editing task")
        if images is None:
            return [f for i in range(0, len(prompts), 16) for f in self._told(prompts[i : i + 16])]
        return [self._saw(p, image) for p, image in zip(prompts, images, strict=True)]

    def _told(self, prompts: Sequence[str]) -> Context:
        """As the pipeline reads prompts, without the padding, which nothing attends to."""
        own = self._asked(self.text[1])
        states, real = own.get_text_hidden_states(list(prompts), self.settings.student_tokens, self.device)
        return [Condition(s[r].flatten(1)) for s, r in zip(states, real, strict=True)]

    def _saw(self, prompt: str, image: Image) -> Condition:
        """The same states of the same tokens, and of the picture's before the prompt."""
        processor, encoder = self.vlm
        asked = {"text": [self._shown(prompt)], "images": [image.convert("RGB")], "return_tensors": "pt"}
        inputs = processor(**asked).to(self.device)
        self._seen(inputs["input_ids"].shape[1], prompt)
        states = encoder(**inputs, output_hidden_states=True, use_cache=False).hidden_states
        skipped = self._asked().prompt_template_encode_start_idx
        return Condition(torch.cat([states[i][0, skipped:] for i in self.taps], 1))

    def velocity(self, x: Tensor, t: Tensor, context: Context) -> Tensor:
        where, (_, _, height, width) = x.device, x.shape
        told = [c.features.to(where, self.dtype).unflatten(1, (len(self.taps), -1)) for c in context]
        real = [torch.ones(len(f), dtype=torch.bool, device=where) for f in told]
        one_length = len({len(f) for f in told}) == 1
        features = pad_sequence(told, batch_first=True)
        with self.precision():
            out = self.transformer(
                hidden_states=x.flatten(2).transpose(1, 2).to(self.dtype),
                encoder_hidden_states=features,
                timestep=(1 - t).to(where, self.dtype),
                position_ids=Krea2Pipeline.prepare_position_ids(features.shape[1], height, width, where),
                encoder_attention_mask=None if one_length else pad_sequence(real, batch_first=True),
                return_dict=False,
            )[0]
        # the pipeline integrates the output over sigma = 1 - t, so dx/dt is its negative
        return -out.transpose(1, 2).unflatten(2, (height, width)).float()

    def _norm(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the autoencoder's latents, (1, C, 1, 1) each."""
        said = self.vae.config.latents_mean, self.vae.config.latents_std
        mean, deviation = (torch.tensor(s, device=self.device).view(1, -1, 1, 1) for s in said)
        return mean, deviation

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        mean, deviation = self._norm()
        latents = self.vae.encode(images.to(self.device).unsqueeze(2)).latent_dist.mode().squeeze(2)  # a video of one
        return pixel_unshuffle((latents - mean) / deviation, PATCH)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        mean, deviation = self._norm()
        frames = (pixel_shuffle(latents, PATCH) * deviation + mean).unsqueeze(2)
        return self.vae.decode(frames).sample.squeeze(2).clamp(-1, 1)

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        self.check_size(height, width)
        side = PATCH * self.factor
        return self.channels, height // side, width // side

    def shift(self, steps: int, size: Sequence[int]) -> float:
        return MU

    def random_times(self, n: int, size: Sequence[int], generator: torch.Generator) -> Tensor:
        """Bent as the grid is: the exponential shift by mu is a shift of e^mu."""
        return flow.shifted(torch.rand(n, generator=generator), math.exp(MU))


BACKBONE = Krea
