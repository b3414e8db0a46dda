"""The models that can be tuned; `load` opens the one that params.yaml names."""

from __future__ import annotations

from dopsd.backbones.base import Backbone


def load(settings) -> Backbone:
    """Open a backbone by its section of params.yaml; UserError where weights are missing or do not fit."""
    if settings.name == "zimage":
        from dopsd.backbones.zimage import ZImage

        return ZImage(settings)
    raise ValueError(f"unknown backbone {settings.name!r}")  # config knows the names; this cannot come from a file
