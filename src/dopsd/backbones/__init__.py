"""The models that can be tuned; `load` opens the one that params.yaml names."""

from __future__ import annotations

from dopsd.backbones.base import Backbone


def kind(settings) -> type[Backbone]:
    """The class of the backbone that a section of params.yaml names."""
    if settings.name == "zimage":
        from dopsd.backbones.zimage import ZImage

        return ZImage
    if settings.name == "klein":
        from dopsd.backbones.klein import Klein

        return Klein
    raise ValueError(f"unknown backbone {settings.name!r}")  # config knows the names; this cannot come from a file


def load(settings) -> Backbone:
    """Open a backbone by its section of params.yaml; UserError where weights are missing or do not fit."""
    return kind(settings)(settings)
