"""Random streams that depend on nothing but their names."""

from __future__ import annotations

import zlib

import torch


def number(*parts: object) -> int:
    """A seed of 32 bits from the parts' text. (torch's CPU generator drops the bits above: sums of seeds would collide.)"""
    return zlib.crc32(" ".join(map(str, parts)).encode())


def stream(*parts: object) -> torch.Generator:
    """A generator of its own for every purpose, on the CPU: the same numbers on every device."""
    return torch.Generator().manual_seed(number(*parts))
