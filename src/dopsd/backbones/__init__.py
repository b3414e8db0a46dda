"""The models that can be tuned, one file each; `load` opens the one that params.yaml names.

May import: method, config, support.
"""

from __future__ import annotations

import importlib

from dopsd.backbones.base import Backbone
from dopsd.config import backbone as config


def module(name: str) -> str:
    """The dotted name of a backbone's module."""
    return f"{__name__}.{name}"


def kind(settings: config.Backbone) -> type[Backbone]:
    """The class of the backbone that a section of params.yaml names."""
    return named(settings.name)


def named(name: str) -> type[Backbone]:
    """The class of a backbone by its name, one that config knows."""
    return importlib.import_module(module(name)).BACKBONE


def load(settings: config.Backbone) -> Backbone:
    """Open a backbone by its section of params.yaml; UserError where weights are missing or do not fit."""
    return kind(settings)(settings)
