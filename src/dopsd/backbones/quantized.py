"""The frozen base in fewer bits: stored so by libraries that diffusers knows (int8, nf4), or multiplied so (fp8)."""

from __future__ import annotations

import importlib.util

import torch
from torch import Tensor, nn

from dopsd.support.errors import UserError

LIBRARY = {"int8": "torchao", "nf4": "bitsandbytes"}
SMALLEST = 1024  # of a layer's two widths: below, casting to fp8 costs more than the product saves
FP8, LARGEST = torch.float8_e4m3fn, 448.0  # the type, and the largest number that it holds


def check(kind: str, device: torch.device, compiled: bool) -> None:
    """UserError where the library, the GPU or the compiler for it is missing."""
    if kind in LIBRARY and importlib.util.find_spec(LIBRARY[kind]) is None:
        raise UserError(
            f"backbone.quantize {kind}: the package {LIBRARY[kind]} is missing; `pip install {LIBRARY[kind]}`, or choose none"
        )
    if kind in ("fp8", "nf4") and device.type != "cuda":
        raise UserError(f"backbone.quantize {kind} needs a CUDA GPU, not {device}; choose int8 or none")
    if kind == "fp8" and not compiled:
        raise UserError("backbone.quantize fp8 needs backbone.compile_blocks true: uncompiled it is slower than none")
    if kind == "fp8" and torch.cuda.get_device_capability(device) < (8, 9):
        raise UserError("backbone.quantize fp8 needs a GPU of compute capability 8.9 or newer; choose nf4 or none")


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


def by_row(x: Tensor) -> tuple[Tensor, Tensor]:
    """x (m, k) -> codes (m, k) in e4m3 and scales (m, 1) in float32, x = codes * scales within 1/16 of each number.

    Rows of zeros keep a scale above 0. Nothing overflows: a row's largest number becomes 448.
    """
    scales = x.abs().amax(1, keepdim=True).float().clamp(min=1e-12) / LARGEST
    return (x.float() * (1 / scales)).to(FP8), scales


def product(x: Tensor, codes: Tensor, scales: Tensor) -> Tensor:
    """x w^T (m, n) in x's type, with x (m, k) quantised here, row by row, and w (n, k) as `by_row` gave it.

    The matrix product leaves the scales out: cuBLAS is up to 1.5 times as fast without them (on a thousand tokens, H100),
    and the compiler multiplies by them in whatever it does next with the result. bf16 has float32's range.
    """
    x_codes, x_scales = by_row(x)
    if x.is_cuda:
        one = torch.ones((), device=x.device)
        y = torch._scaled_mm(x_codes, codes.T, one, one, out_dtype=torch.bfloat16, use_fast_accum=True)  # pyright: ignore[reportPrivateImportUsage] - torch has no public name for it
    else:  # the same numbers, for tests
        y = x_codes.float() @ codes.float().T
    return (y.float() * x_scales * scales.T).to(x.dtype)


class Product(torch.autograd.Function):
    """y = x w^T (m, n) and dx = dy w (m, k), both in fp8; w is frozen. For dx, w is quantised a second time, by its columns:
    a scale must not change along the numbers that are summed."""

    @staticmethod
    def forward(ctx, x: Tensor, codes: Tensor, scales: Tensor, codes_t: Tensor, scales_t: Tensor) -> Tensor:
        ctx.save_for_backward(codes_t, scales_t)
        return product(x, codes, scales)

    @staticmethod
    def backward(ctx, dy: Tensor) -> tuple:  # pyright: ignore[reportIncompatibleMethodOverride] - torch's stub
        return product(dy, *ctx.saved_tensors), None, None, None, None


class Fp8Linear(nn.Linear):
    """A frozen layer that multiplies in fp8. Its weights are quantised once: codes (n, k) with a scale a row, codes_t (k, n)
    with a scale a column of w; two bytes a weight, as in bf16. Inputs and gradients are quantised at every product, a scale
    a token.

    backward: False leaves codes_t out, for a layer that is only to be spoken with.
    """

    def __init__(self, linear: nn.Linear, backward: bool = True):
        super(nn.Linear, self).__init__()  # without weights of its own
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.dtype, self.bias = linear.weight.dtype, linear.bias
        weight = linear.weight.detach()
        own = dict(zip(("codes", "scales"), by_row(weight), strict=True))
        if backward:
            own |= zip(("codes_t", "scales_t"), by_row(weight.T.contiguous()), strict=True)  # pyright: ignore[reportOperatorIssue] - a dict takes pairs
        for name in ("codes", "scales", "codes_t", "scales_t"):
            self.register_buffer(name, own.get(name))  # pyright: ignore[reportArgumentType] - any name

    @property
    def weight(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride] - read only here
        """(n, k) as it is multiplied: a copy, for those who ask for a layer's type and device, as peft does."""
        return (self.codes.float() * self.scales).to(self.dtype)  # pyright: ignore[reportOperatorIssue] - buffers are tensors

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride] - torch's name
        flat = x.flatten(0, -2)
        if self.codes_t is None:
            y = product(flat, self.codes, self.scales)  # pyright: ignore[reportArgumentType] - buffers are tensors
        else:
            y = Product.apply(flat, self.codes, self.scales, self.codes_t, self.scales_t)
        y = y.unflatten(0, x.shape[:-1])
        return y if self.bias is None else y + self.bias.to(y.dtype)


def multiply_in_fp8(transformer: nn.Module, backward: bool = True) -> None:
    """Let the large layers multiply in fp8, forward and (if asked for) backward."""
    for name, layer in list(transformer.named_modules()):
        if not isinstance(layer, nn.Linear):
            continue
        sizes = layer.weight.shape
        if min(sizes) >= SMALLEST and not any(n % 16 for n in sizes):  # what the GPU's product takes
            parent, _, own = name.rpartition(".")
            setattr(transformer.get_submodule(parent), own, Fp8Linear(layer, backward))
