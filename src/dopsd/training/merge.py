"""A LoRA put into weights of its own, w + s b a, so that changes below a weight's last digit count on the average."""

# Triton is there with a GPU's torch only, and its kernels have no types:
# pyright: reportPossiblyUnboundVariable=false, reportOptionalMemberAccess=false, reportCallIssue=false

from __future__ import annotations

import torch
from torch import Tensor

from dopsd.backbones.quantized import FP8, LARGEST

try:
    import triton
    import triton.language as tl
except ImportError:  # where torch has no GPU
    triton = None

HEADROOM = 2.0  # how much larger than its row's largest weight a merged one may become, before it is cut off in fp8


def dithered(x: Tensor) -> Tensor:
    """x (n, k) float32 -> bf16: up or down with chances such that the mean is x; a number that bf16 holds stays itself.

    Rounding to the nearest would lose an average's first steps altogether: w itself is a bf16 number, and w + d is again w
    until d is half of its last digit, 1/500 to 1/250 of w. The chances are a fixed pattern, a hash of the position, so equal
    inputs give equal weights.
    """
    place = torch.arange(x.numel(), device=x.device, dtype=torch.int32).view(x.shape) * 1664525
    place = (place ^ (place >> 15)) * 1013904223
    return ((x.view(torch.int32) + ((place >> 8) & 0xFFFF)) & -0x10000).view(torch.float32).to(torch.bfloat16)


def merge(out: Tensor, scales: Tensor | None, weight: Tensor, a: Tensor, b: Tensor, scale: float) -> None:
    """out <- weight + scale b a, in place. out (n, k) like weight, or fp8 codes with scales (n, 1); a (r, k), b (n, r) in
    float32, multiplied in the weights' type, as an adapter's are."""
    a, b = a.to(weight.dtype), (b * scale).to(weight.dtype)
    if triton is not None and out.is_cuda and weight.dtype == torch.bfloat16:
        _in_one_pass(out, scales, weight, a, b)
        return
    x = weight.float() + b.float() @ a.float()
    if scales is not None:
        out.copy_((x * (1 / scales)).clamp(-LARGEST, LARGEST).to(FP8))  # weight is finer than fp8: no dither needed
    else:
        out.copy_(dithered(x) if out.dtype == torch.bfloat16 else x)


def _in_one_pass(out: Tensor, scales: Tensor | None, weight: Tensor, a: Tensor, b: Tensor) -> None:
    """`merge` on a GPU, where memory is what it waits for: weights are read once and written once."""
    n, k = weight.shape
    side = 128
    grid = (triton.cdiv(n, side), triton.cdiv(k, side))
    codes = scales is not None
    rank = max(16, triton.next_power_of_2(a.shape[0]))
    _merge[grid](
        out, scales if codes else weight, weight, a, b, n, k, a.shape[0], codes, LARGEST, rank, side, num_warps=8
    )


if triton is not None:

    @triton.jit
    def _merge(
        out,
        scales,
        weight,
        a,
        b,
        n,
        k,
        r,
        codes: tl.constexpr,
        largest: tl.constexpr,
        rank: tl.constexpr,
        side: tl.constexpr,
    ):
        """A square of out; the arguments are those of `merge`, in bf16, contiguous."""
        rows = tl.program_id(0) * side + tl.arange(0, side)
        columns = tl.program_id(1) * side + tl.arange(0, side)
        inner = tl.arange(0, rank)
        in_row, in_column, in_rank = rows[:, None] < n, columns[None, :] < k, inner < r
        left = tl.load(b + rows[:, None] * r + inner[None, :], in_row & in_rank[None, :], 0.0)
        right = tl.load(a + inner[:, None] * k + columns[None, :], in_rank[:, None] & in_column, 0.0)
        place = rows[:, None] * k + columns[None, :]
        x = tl.load(weight + place, in_row & in_column, 0.0).to(tl.float32) + tl.dot(left, right)
        if codes:
            x = x * (1 / tl.load(scales + rows, rows < n, 1.0))[:, None]
            x = tl.minimum(tl.maximum(x, -largest), largest)
        else:  # as `dithered`
            chance = place * 1664525
            chance = (chance ^ (chance >> 15)) * 1013904223
            x = ((x.to(tl.int32, bitcast=True) + ((chance >> 8) & 0xFFFF)) & -0x10000).to(tl.float32, bitcast=True)
        tl.store(out + place, x.to(out.dtype.element_ty), in_row & in_column)
