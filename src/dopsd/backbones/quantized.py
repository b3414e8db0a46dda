"""The frozen base in fewer bits: stored so by libraries that diffusers knows (int8, nf4), or multiplied so (fp8)."""

from __future__ import annotations

import importlib.util

import torch
from torch import nn

from dopsd.support.errors import UserError

LIBRARY = {"int8": "torchao", "fp8": "torchao", "nf4": "bitsandbytes"}
SMALLEST = 1024  # of a layer's two widths: below, casting to fp8 costs more than the product saves


def check(kind: str, device: torch.device, compiled: bool) -> None:
    """UserError where the library, the GPU or the compiler for it is missing."""
    if kind == "none":
        return
    if importlib.util.find_spec(LIBRARY[kind]) is None:
        raise UserError(
            f"backbone.quantize {kind}: the package {LIBRARY[kind]} is missing; `pip install {LIBRARY[kind]}`, or choose none"
        )
    if kind != "int8" and device.type != "cuda":
        raise UserError(f"backbone.quantize {kind} needs a CUDA GPU, not {device}; choose int8 or none")
    if kind == "fp8" and not compiled:
        raise UserError("backbone.quantize fp8 needs backbone.compile_blocks true: uncompiled it is slower than none")


def storage(kind: str, dtype: torch.dtype):
    """diffusers' quantization config for weights kept in "int8" or "nf4" (4 bit); None for the others."""
    if kind == "nf4":
        from diffusers.quantizers.quantization_config import BitsAndBytesConfig

        return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    if kind == "int8":
        from diffusers.quantizers.quantization_config import TorchAoConfig
        from torchao.quantization import Int8WeightOnlyConfig

        return TorchAoConfig(Int8WeightOnlyConfig())
    return None


def multiply_in_fp8(transformer: nn.Module) -> None:
    """Let the large layers multiply in fp8, forward and backward, by torchao's float8 training: scales are found a row at a
    time and at every product, weights stay in the type that they are in. GPUs of compute capability 8.9 and newer."""
    from torchao.float8 import Float8LinearConfig, convert_to_float8_training

    convert_to_float8_training(
        transformer,
        config=Float8LinearConfig.from_recipe_name("rowwise"),
        module_filter_fn=lambda layer, name: isinstance(layer, nn.Linear) and min(layer.weight.shape) >= SMALLEST,
    )
