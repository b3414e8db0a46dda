"""The preset that a command is given: its options, what `--set` changes, and whether it can run here."""

from __future__ import annotations

from typing import Annotated

import typer

from dopsd.config.params import load_preset
from dopsd.config.preset import Preset, names, option

Backbone = Annotated[str, typer.Option(help=f"a preset ({', '.join(names())}) or a .yaml file of the same form")]
Changes = Annotated[list[str] | None, typer.Option("--set", help="change a field of the preset: train.steps=500")]


def chosen(backbone: str, changes: list[str] | None, **options: float | str | None) -> Preset:
    """options: fields of the preset, SECTION__FIELD, that have an option of their own."""
    given, changes = [], changes or []
    for name, value in options.items():
        section, _, field = name.partition("__")
        if value is not None:
            given.append(option(f"{section}.{field}", value, f"--{field.replace('_', '-')} {value}"))
    preset = load_preset(backbone, changes, given)
    rank, alpha = (tuple(c for c in changes if c.startswith(f"train.{f}=")) for f in ("lora_rank", "lora_alpha"))
    if not rank or alpha:
        return preset
    before = load_preset(backbone, [c for c in changes if c not in rank], given).train
    follows = before.lora_alpha / before.lora_rank * preset.train.lora_rank
    given.append(option("train.lora_alpha", follows, f"--set {rank[-1]}"))
    return load_preset(backbone, changes, given)


def ready(preset: Preset) -> Preset:
    """The same preset; UserError where its device is not here, or where a method or an instrument is none or is wrongly set:
    said before pictures are read and models are opened."""
    from dopsd.backbones.pipeline import device
    from dopsd.evaluation.instruments import Panel
    from dopsd.objectives import method

    for name in preset.methods:
        method(name, preset.methods, preset.where)
    Panel(preset.instruments, device(preset.backbone.device), preset.where)
    return preset
