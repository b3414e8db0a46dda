"""Z-Image-Turbo and the miniature: the same classes, other weights.

Student: the pipeline's own text encoder and template. Teacher: a Qwen3-VL whose language-model weights are overwritten by
that text encoder's, so that the vision tower speaks into the encoder which the generator knows (arXiv 2605.05204 and its
released code).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel
from PIL.Image import Image
from torch import Tensor
from transformers import AutoProcessor, AutoTokenizer, Qwen3Model, Qwen3VLForConditionalGeneration

from dopsd.backbones.base import Backbone, Context
from dopsd.errors import UserError

LAYER = -2  # hidden_states[-2]: what the pipeline reads from the prompt


def load_part(cls, source: str, revision: str | None, what: str, subfolder: str | None = None, **options):
    """`cls.from_pretrained` with one clear error in place of the hub's many."""
    where = f"{source}/{subfolder}" if subfolder else source
    if Path(source).parts[:1] == ("models",) and not (Path(source) / (subfolder or "")).exists():
        raise UserError(f"{where}: the {what} is missing; restore it from git, or run the recipe's stages (README)")
    try:
        return cls.from_pretrained(
            source, revision=revision, **({"subfolder": subfolder} if subfolder else {}), **options
        )
    except (OSError, ValueError) as error:
        raise UserError(
            f"{where}: cannot open the {what} ({str(error).splitlines()[0]}); give a local folder or a hub name under "
            "backbone in params.yaml, and log in with `hf auth login` if the model is gated"
        ) from None


class ZImage(Backbone):
    """See `Backbone`. settings: the section `backbone` of params.yaml."""

    def __init__(self, settings):
        self.settings = settings
        automatic = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(automatic if settings.device == "auto" else settings.device)
        self.dtype = getattr(torch, settings.dtype)
        weights = {"torch_dtype": self.dtype}
        self.transformer = self._part(ZImageTransformer2DModel, "transformer", **weights).eval().requires_grad_(False)
        self.transformer.to(self.device)
        self.vae = self._part(AutoencoderKL, "vae", torch_dtype=torch.float32).eval().requires_grad_(False)
        self.vae.to(self.device)
        self.scheduler = self._part(FlowMatchEulerDiscreteScheduler, "scheduler")
        self._text = self._vlm = None

    def _part(self, cls, subfolder: str, **options):
        return load_part(cls, self.settings.model, self.settings.revision, subfolder, subfolder, **options)

    @property
    def text(self) -> tuple:
        """Tokenizer and text encoder, loaded at the first use."""
        if self._text is None:
            encoder = self._part(Qwen3Model, "text_encoder", dtype=self.dtype).eval().requires_grad_(False)
            self._text = self._part(AutoTokenizer, "tokenizer"), encoder.to(self.device)
        return self._text

    @property
    def vlm(self) -> tuple:
        """Processor and Qwen3-VL around the pipeline's own text encoder, loaded at the first use."""
        if self._vlm is None:
            source, revision = self.settings.vlm, self.settings.vlm_revision
            model = load_part(Qwen3VLForConditionalGeneration, source, revision, "VLM", dtype=self.dtype)
            try:
                model.model.language_model.load_state_dict(self.text[1].state_dict())
            except RuntimeError as error:
                raise UserError(
                    f"backbone.vlm {source}: its language model does not fit the text encoder of {self.settings.model} "
                    f"({' '.join(str(error).split())[:300]}); name the VLM of the same family and size"
                ) from None
            processor = load_part(AutoProcessor, source, revision, "VLM's processor")
            pixels = {"shortest_edge": self.settings.min_pixels, "longest_edge": self.settings.max_pixels}
            processor.image_processor.size = pixels
            self._vlm = processor, model.eval().requires_grad_(False).to(self.device)
        return self._vlm

    def free_encoders(self) -> None:
        self._text = self._vlm = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    @torch.no_grad()
    def context(
        self, prompts: Sequence[str], images: Sequence[Image] | None = None, layer: int | None = None
    ) -> Context:
        if images is None:
            layer = LAYER if layer is None else layer
            return [f for i in range(0, len(prompts), 64) for f in self._text_features(prompts[i : i + 64], layer)]
        layer = self.settings.teacher_layer if layer is None else layer
        return [self._image_features(p, image, layer) for p, image in zip(prompts, images, strict=True)]

    def _text_features(self, prompts: Sequence[str], layer: int) -> Context:
        """As `ZImagePipeline._encode_prompt`, padded to the longest prompt instead of always to the maximum."""
        tokenizer, encoder = self.text
        turns = [
            tokenizer.apply_chat_template(
                [{"role": "user", "content": p}], tokenize=False, add_generation_prompt=True, enable_thinking=True
            )
            for p in prompts
        ]
        limit = {"truncation": True, "max_length": self.settings.student_tokens}
        inputs = tokenizer(turns, padding=True, return_tensors="pt", **limit).to(self.device)
        real = inputs.attention_mask.bool()
        output = encoder(input_ids=inputs.input_ids, attention_mask=real, output_hidden_states=True, use_cache=False)
        return [f[m] for f, m in zip(output.hidden_states[layer], real, strict=True)]

    def _image_features(self, prompt: str, image: Image, layer: int) -> Tensor:
        """One user turn, image first, no system prompt; every token's features, the image's included: (length, width)."""
        processor, model = self.vlm
        parts = [{"type": "image", "image": image.convert("RGB")}, {"type": "text", "text": prompt}]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": parts}],
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
        ).to(self.device)
        length = inputs["input_ids"].shape[1]
        if length > self.settings.teacher_tokens:
            raise UserError(
                f"a picture with its prompt is {length} tokens, more than backbone.teacher_tokens "
                f"{self.settings.teacher_tokens}; lower backbone.max_pixels or shorten the prompt {prompt[:60]!r}"
            )
        return model.model(**inputs, output_hidden_states=True, use_cache=False).hidden_states[layer][0]

    def velocity(self, x: Tensor, t: Tensor, context: Context) -> Tensor:
        # the pipeline passes t = 1 - sigma and integrates -output over sigma, so the output is dx/dt as it is
        samples = list(x.to(self.dtype).unsqueeze(2).unbind(0))
        captions = [c.to(x.device, self.dtype) for c in context]
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
        factor = 2 ** (len(self.vae.config.block_out_channels) - 1)
        if height % (2 * factor) or width % (2 * factor):
            raise ValueError(f"height and width must be multiples of {2 * factor}, not {height} and {width}")
        return self.transformer.config.in_channels, height // factor, width // factor

    def save_lora(self, folder, layers: dict[str, Tensor], settings: dict) -> None:
        ZImagePipeline.save_lora_weights(
            folder, transformer_lora_layers=layers, transformer_lora_adapter_metadata=settings
        )
