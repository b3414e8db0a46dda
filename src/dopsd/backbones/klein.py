"""FLUX.2-klein: the edit branch is the teacher's eye.

Student: the prompt alone. Teacher: the target's clean latents as the last reference picture, and an instruction that says
so (arXiv 2605.05204 and its released code). In the editing task both see the input pictures as references before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from diffusers.pipelines.flux2.pipeline_flux2_klein import Flux2KleinPipeline, compute_empirical_mu
from PIL.Image import Image
from torch import Tensor

from dopsd.backbones.base import Reading
from dopsd.backbones.pipeline import PipelineBackbone
from dopsd.config import backbone as config
from dopsd.method import flow
from dopsd.method.context import Condition, Context
from dopsd.support.errors import UserError
from dopsd.support.pictures import from_pil


def packed(latents: Tensor) -> Tensor:
    """(n, C, h, w) -> tokens (n, h w, C)."""
    return latents.flatten(2).transpose(1, 2)


class Klein(PipelineBackbone[config.Klein]):
    """See `Backbone`. settings: the section `backbone` of params.yaml."""

    pipeline, transformer_class, vae_class = Flux2KleinPipeline, Flux2Transformer2DModel, AutoencoderKLFlux2
    comfy, thinking = "transformer.", False

    def latent_channels(self) -> int:
        return 4 * self.vae.config.latent_channels  # of patches of 2 x 2

    def text_width(self) -> tuple[int, int]:
        return self._shapes["joint_attention_dim"], len(self.settings.text_layers)

    @torch.no_grad()
    def context(
        self,
        prompts: Sequence[str],
        images: Sequence[Image] | None = None,
        layer: int | None = None,
        references: Sequence[Sequence[Image]] | None = None,
    ) -> Context:
        """See `Backbone`. The features come from three layers of the encoder (backbone.text_layers); a layer that is
        asked for is an error."""
        if layer is not None:
            raise UserError("backbone klein reads fixed layers (backbone.text_layers); leave probe.layers empty")
        pictures = [tuple(r) for r in references] if references else [()] * len(prompts)
        if images is not None:
            instruction = self._instruction(any(pictures))
            prompts = [instruction.format(prompt=p) for p in prompts]
            pictures = [(*r, image) for r, image in zip(pictures, images, strict=True)]
        once = {id(p): self.encode(from_pil(p)[None])[0].cpu() for seen in pictures for p in seen}
        return [
            Condition(features, tuple(once[id(p)] for p in seen))
            for features, seen in zip(self._text_features(prompts), pictures, strict=True)
        ]

    def _instruction(self, edited: bool) -> str:
        return self.settings.edit_instruction if edited else self.settings.identity_instruction

    def teacher_reads(self, prompt: str, size: tuple[int, int], edited: bool = False) -> Reading:
        return self._read(prompt, self._instruction(edited))

    def _text_features(self, prompts: Sequence[str]) -> list[Tensor]:
        """As the pipeline: padded to the maximum, and the padding is read like every other token."""
        tokenizer, encoder = self.text
        layers = list(self.settings.text_layers)
        if max(layers) > encoder.config.num_hidden_layers:
            raise UserError(
                f"backbone.text_layers {layers}: {self.settings.model} has an encoder of "
                f"{encoder.config.num_hidden_layers} layers; FLUX.2-klein reads 9, 18 and 27"
            )
        out = []
        for i in range(0, len(prompts), 16):
            out += Flux2KleinPipeline._get_qwen3_prompt_embeds(
                encoder,
                tokenizer,
                list(prompts[i : i + 16]),
                max_sequence_length=self.settings.student_tokens,
                hidden_states_layers=layers,
            )
        return out

    def velocity(self, x: Tensor, t: Tensor, context: Context) -> Tensor:
        shapes = [tuple(r.shape for r in c.references) for c in context]
        if any(s != shapes[0] for s in shapes):  # samples that see pictures of other sizes are no batch
            rows = [self.velocity(x[i : i + 1], t[i : i + 1], context[i : i + 1]) for i in range(len(x))]
            return torch.cat(rows)
        where, (_, _, height, width) = x.device, x.shape
        features = torch.stack([c.features for c in context]).to(where, self.dtype)
        tokens = packed(x).to(self.dtype)
        with where:  # made there: copies from the CPU would wait for the GPU
            places, words = Flux2KleinPipeline._prepare_latent_ids(x), Flux2KleinPipeline._prepare_text_ids(features)
        if shapes[0]:
            seen = [
                torch.stack(list(r)).to(where, self.dtype) for r in zip(*(c.references for c in context), strict=True)
            ]
            tokens = torch.cat([tokens, *(packed(r) for r in seen)], 1)
            with where:
                other = Flux2KleinPipeline._prepare_image_ids([r[:1] for r in seen])
            places = torch.cat([places, other.expand(len(x), -1, -1)], 1)
        with self.precision():
            out = self.transformer(
                hidden_states=tokens,
                timestep=(1 - t).to(where, self.dtype),
                guidance=None,
                encoder_hidden_states=features,
                txt_ids=words,
                img_ids=places,
                return_dict=False,
            )[0]
        out = out[:, : height * width]
        # the pipeline integrates the output over sigma = 1 - t, so dx/dt is its negative
        return -out.transpose(1, 2).unflatten(2, (height, width)).float()

    def _norm(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the patched latents, (1, C, 1, 1) each: the autoencoder's batch norm."""
        bn, eps = self.vae.bn, self.vae.config.batch_norm_eps
        return bn.running_mean.view(1, -1, 1, 1), torch.sqrt(bn.running_var.view(1, -1, 1, 1) + eps)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        mean, deviation = self._norm()
        latents = self.vae.encode(images.to(self.device)).latent_dist.mode()
        return (Flux2KleinPipeline._patchify_latents(latents) - mean) / deviation

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        mean, deviation = self._norm()
        return self.vae.decode(Flux2KleinPipeline._unpatchify_latents(latents * deviation + mean)).sample.clamp(-1, 1)

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        self.check_size(height, width)
        patch = 2 * self.factor
        return self.channels, height // patch, width // patch

    def shift(self, steps: int, size: Sequence[int]) -> float:
        """The pipeline's empirical mu, by the number of tokens of the picture and of steps."""
        return compute_empirical_mu(math.prod(size), steps)

    def random_times(self, n: int, size: Sequence[int], generator: torch.Generator) -> Tensor:
        """Bent as a grid of the distilled number of steps is: the exponential shift by mu is a shift of e^mu."""
        return flow.shifted(torch.rand(n, generator=generator), math.exp(self.shift(self.settings.native_steps, size)))


BACKBONE = Klein
