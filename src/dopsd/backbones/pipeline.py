"""What the backbones share: a diffusers folder (or hub repository) whose parts are opened one by one, and a Qwen3 that
reads the prompts."""

from __future__ import annotations

import gc
import os
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from torch import Tensor, nn
from transformers import AutoTokenizer, Qwen3Model

from dopsd.backbones import quantized
from dopsd.backbones.base import Backbone, Reading
from dopsd.backbones.hub import load_part
from dopsd.config.backbone import Model
from dopsd.support.errors import UserError

Settings = TypeVar("Settings", bound=Model)
MARK = "\ufffc" * 4  # in the place of a prompt, to see where it stands; no prompt's text


def device(name: str) -> torch.device:
    """ "auto": this process's GPU where there is one (each process of a launcher has its own), else the CPU. UserError where
    a GPU is asked for that is not here."""
    gpus = torch.cuda.device_count()
    if name == "auto":
        name = "cuda" if gpus else "cpu"
    where = torch.device(name)
    if where.type != "cuda":
        return where
    if where.index is None:
        where = torch.device("cuda", _own_gpu())
    if where.index >= gpus:
        there = f"there are {gpus}" if gpus else "there is none that torch can use"
        raise UserError(f"backbone.device {name}: GPU {where.index} is not here, {there}; choose auto or cpu")
    return where


def _own_gpu() -> int:
    """The number of this process's GPU, as its launcher says."""
    given = os.environ.get("LOCAL_RANK", "0")
    if not given.isdecimal():
        raise UserError(f"LOCAL_RANK={given!r} of the environment: no number of a process; unset it")
    return int(given)


class PipelineBackbone(Backbone, Generic[Settings]):
    """A backbone of the parts of a diffusers pipeline. settings: the section `backbone` of params.yaml."""

    pipeline: ClassVar[Any]  # classes of diffusers; Any, as in `hub.load_part`
    transformer_class: ClassVar[Any]
    vae_class: ClassVar[Any]
    thinking: ClassVar[bool]  # what the pipeline tells its chat template

    def __init__(self, settings: Settings):
        self._settings = settings
        self.device = device(settings.device)
        self.dtype = getattr(torch, settings.dtype)
        config = load_part(self.transformer_class, *self._source("transformer"), "transformer", "transformer", "config")
        self._transformer: Any = None
        self.vae = self.part(self.vae_class, "vae", torch_dtype=torch.float32).eval().requires_grad_(False)
        self._shapes: dict[str, Any] = dict(config)
        self.channels: int = self._shapes.get("in_channels", 0)
        own = self.latent_channels()
        if own != self.channels:
            raise UserError(
                f"{settings.model}: its autoencoder makes latents of {own} channels, and its transformer reads "
                f"{self.channels}; the two are not of one model"
            )
        self.vae.to(self.device)
        self.scheduler = self.part(FlowMatchEulerDiscreteScheduler, "scheduler")
        self._text: tuple[Any, Any] | None = None
        self._tokenizer: Any = None

    @property
    def settings(self) -> Settings:
        return self._settings

    def part(self, cls: Any, subfolder: str, **options) -> Any:
        """A part of the pipeline, from its subfolder; UserError where it cannot be opened."""
        return load_part(cls, *self._source(subfolder), subfolder, subfolder, **options)

    def _source(self, subfolder: str) -> tuple[str, str | None]:
        """Where a part comes from: its folder or hub name, and the revision."""
        settings = self.settings
        if subfolder == "transformer" and settings.transformer:
            return settings.transformer, None
        return settings.model, settings.revision

    @property
    def transformer(self) -> Any:
        """What is tuned, opened at the first use: on a small GPU the encoders have come and gone by then."""
        if self._transformer is None:
            self._transformer = self.opened(self.settings.quantize)
        return self._transformer

    def layers(self) -> list[str]:
        with torch.device("meta"):
            empty = self.transformer_class.from_config(self._shapes)
        return [name for name, module in empty.named_modules() if isinstance(module, nn.Linear)]

    def opened(self, kind: str) -> Any:
        options: dict[str, Any] = {"torch_dtype": self.dtype}
        quantized.check(kind, self.device, self.settings.compile_blocks)
        if storage := quantized.storage(kind, self.dtype):
            options["quantization_config"] = storage
        transformer = self.part(self.transformer_class, "transformer", **options).eval().requires_grad_(False)
        if kind != "nf4":  # bitsandbytes places its weights itself
            transformer.to(self.device)
        if kind == "fp8":
            quantized.multiply_in_fp8(transformer)
        if self.settings.compile_blocks:
            # a graph for each kind of block, length, adapter and gradient mode; past the limit blocks run uncompiled
            torch._dynamo.config.recompile_limit = 64
            self.ease(transformer)
            transformer.compile_repeated_blocks()
        return transformer

    @transformer.setter
    def transformer(self, module: Any) -> None:
        self._transformer = module  # None: opened anew at the next use
        if module is None:
            gc.collect()  # compiled blocks hold themselves
            self._empty_cache()

    def ease(self, transformer: Any) -> None:
        """Put parts that compute the same in place of those that torch.compile cannot fuse."""

    @property
    def tokenizer(self) -> Any:
        """Loaded at the first use, and small: it stays."""
        if self._tokenizer is None:
            tokenizer = self.part(AutoTokenizer, "tokenizer")
            if not tokenizer.chat_template:
                raise UserError(
                    f"{self.settings.model}/tokenizer: no chat template, so prompts cannot be put as the model knows them; "
                    "add it"
                )
            self._tokenizer = tokenizer
        return self._tokenizer

    @property
    def text(self) -> tuple[Any, Any]:
        """Tokenizer and text encoder, loaded at the first use."""
        if self._text is None:
            encoder = self.part(Qwen3Model, "text_encoder", dtype=self.dtype).eval().requires_grad_(False)
            self._check_text(self.tokenizer, encoder.config)
            self._text = self.tokenizer, encoder.to(self.device)
        return self._text

    def turn(self, prompt: str) -> str:
        """A prompt as the pipeline puts it to its text encoder: in the chat template."""
        said = [{"role": "user", "content": prompt}]
        options = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": self.thinking}
        return self.tokenizer.apply_chat_template(said, **options)

    def reads(self, prompt: str) -> Reading:
        return self._read(prompt, "{prompt}")

    def _read(self, prompt: str, instruction: str) -> Reading:
        """What is read of a prompt that an instruction holds: a turn's first tokens, as many as the pipeline takes."""
        limit = self.settings.student_tokens
        turn = self.turn(instruction.format(prompt=prompt))
        places = self.tokenizer(turn, return_offsets_mapping=True, verbose=False).offset_mapping
        if len(places) <= limit:
            return Reading(len(places), limit, prompt)
        start = self.turn(instruction.format(prompt=MARK)).index(MARK)
        return Reading(len(places), limit, prompt[: max(0, places[limit - 1][1] - start)])

    def _check_text(self, tokenizer: Any, encoder: Any) -> None:
        """UserError where tokenizer, text encoder and transformer are not of one model."""
        model, (wanted, widths) = self.settings.model, self.text_width()
        if encoder.hidden_size * widths != wanted:
            raise UserError(
                f"{model}: its text encoder's features are {encoder.hidden_size * widths} wide, and its transformer reads "
                f"{wanted}; the two are not of one model"
            )
        if len(tokenizer) > encoder.vocab_size:
            raise UserError(
                f"{model}: its tokenizer has {len(tokenizer)} words, and its text encoder {encoder.vocab_size}; the two "
                "are not of one model"
            )

    @abstractmethod
    def latent_channels(self) -> int:
        """How many channels the transformer must read, as the autoencoder says."""

    @abstractmethod
    def text_width(self) -> tuple[int, int]:
        """How wide the features are that the transformer reads, and of how many of the encoder's layers they are made."""

    def free_encoders(self) -> None:
        self._text = None
        self._empty_cache()

    def _empty_cache(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def precision(self):
        """bf16 arithmetic, where that is asked for, whatever the weights are kept in: adapters and tuned weights stay in
        float32."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    @property
    def factor(self) -> int:
        """Pixels a latent pixel stands for, along a side."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    def check_size(self, height: int, width: int) -> None:
        """ValueError where a picture of this size cannot be drawn: patches are 2 x 2 latent pixels."""
        multiple = 2 * self.factor
        if height % multiple or width % multiple:
            raise ValueError(f"height and width must be multiples of {multiple}, not {height} and {width}")

    @classmethod
    def save_lora(cls, folder: Path, layers: dict[str, Tensor], settings: dict, name: str | None = None) -> None:
        cls.pipeline.save_lora_weights(
            folder, transformer_lora_layers=layers, weight_name=name, transformer_lora_adapter_metadata=settings
        )
