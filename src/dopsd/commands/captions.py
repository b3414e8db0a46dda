"""Captions that the backbone's VLM writes for pictures that have none."""

from __future__ import annotations

from collections.abc import Callable

from dopsd.config.backbone import Backbone, ZImage
from dopsd.sets.items import Item
from dopsd.support.errors import UserError


def who(settings: Backbone) -> str:
    """The name of the VLM that writes captions; UserError where the backbone has none."""
    seeing = _seeing(settings)
    return seeing.vlm if seeing.vlm_revision is None else f"{seeing.vlm}@{seeing.vlm_revision}"


def _seeing(settings: Backbone) -> ZImage:
    if not isinstance(settings, ZImage):
        raise UserError(
            "--captions vlm needs a backbone with a VLM (zimage, krea); write captions, or choose --captions name"
        )
    return settings


def writer(settings: Backbone) -> Callable[[Item], str]:
    """Captions written by the backbone's VLM, with its own weights; UserError where the backbone has none."""
    seeing = _seeing(settings)
    from dopsd.backbones.vlm import DESCRIBE, Vlm

    vlm = Vlm.beside(seeing, seeing.vlm, seeing.vlm_revision)

    def write(item: Item) -> str:
        said = vlm.ask([item.image()], DESCRIBE)
        if not said:
            raise UserError(
                f"{item.file}: the VLM {seeing.vlm} wrote nothing; write a caption, or choose --captions name"
            )
        return said

    return write
