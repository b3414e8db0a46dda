"""The frozen base in fewer bits, by libraries that diffusers knows: less memory for the same adapters in float32."""

from __future__ import annotations

import importlib.util

import torch

from dopsd.errors import UserError

LIBRARY = {"int8": "torchao", "fp8": "torchao", "nf4": "bitsandbytes"}


def config(kind: str, dtype: torch.dtype, device: torch.device):
    """diffusers' quantization config for "int8", "fp8" (weights and activations; GPUs of compute capability 8.9 and newer) or
    "nf4" (4 bit, GPU); None for "none". UserError where the library or the GPU for it is missing."""
    if kind == "none":
        return None
    if importlib.util.find_spec(LIBRARY[kind]) is None:
        raise UserError(
            f"backbone.quantize {kind}: the package {LIBRARY[kind]} is missing; `pip install {LIBRARY[kind]}`, or choose none"
        )
    if kind != "int8" and device.type != "cuda":
        raise UserError(f"backbone.quantize {kind} needs a CUDA GPU, not {device}; choose int8 or none")
    if kind == "nf4":
        from diffusers import BitsAndBytesConfig

        return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    from diffusers import TorchAoConfig
    from torchao.quantization import Float8DynamicActivationFloat8WeightConfig, Int8WeightOnlyConfig, PerRow

    if kind == "int8":
        return TorchAoConfig(Int8WeightOnlyConfig())
    return TorchAoConfig(Float8DynamicActivationFloat8WeightConfig(granularity=PerRow()))
