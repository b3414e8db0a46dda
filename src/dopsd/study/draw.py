"""What a cell draws, as a worker runs it: a sheet of pictures a checkpoint, kind of prompts and NFE, kept as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from accelerate import PartialState

from dopsd import backbones
from dopsd.config.backbone import Backbone
from dopsd.evaluation.drawing import Asked, Told
from dopsd.evaluation.rows import Row, of_kind
from dopsd.evaluation.sheets import Sheet, keep
from dopsd.sets.items import Item
from dopsd.training.weights import put


@torch.no_grad()
def draw_cell(
    backbone: Backbone,
    weights: Mapping[int, Path],
    rows: Sequence[Row],
    items: Sequence[Item],
    seed: int,
    told: Told,
    todo: Sequence[Sheet],
    batch_size: int,
    folder: Path,
    device: str,
) -> Path:
    """Draw the sheets of a cell into a folder, and return it. Where several processes run, all must call; one writes.

    weights: the folder of each step's; a step that it does not name is the untouched model's. items: of the training set,
    from whose input pictures an editing task is drawn. told: what the model is given (see `Told`).
    """
    model = backbones.load(backbone.model_copy(update={"device": device}))
    main = PartialState(cpu=model.device.type == "cpu").is_main_process
    wanted = {asks: of_kind(rows, asks[0], seed, asks[1]) for asks in dict.fromkeys((s.kind, s.chance) for s in todo)}
    guided = any(s.guidance for s in todo)
    asked = {asks: Asked.of(model, mine, items, told, guided) for asks, mine in wanted.items()}
    model.free_encoders()
    for step in sorted({s.step for s in todo}):  # 0, which has no weights, comes first
        if step in weights:
            put(model, weights[step])
        for sheet in (s for s in todo if s.step == step):
            images = asked[sheet.kind, sheet.chance].drawn(model, sheet.nfe, sheet.guidance, batch_size)
            if main:
                keep(images, folder, sheet, wanted[sheet.kind, sheet.chance])
    return folder
