"""What a cell of a study, a method on a concept with a seed, draws, and its pictures as files, so that scoring draws nothing.

Small pictures of one sheet share a PNG, a contact sheet; large ones get a file each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from dopsd.config.study import Evaluate
from dopsd.evaluation.rows import NAMELESS, NEW, ORDINARY, OTHER, REWRITE, Row
from dopsd.support.errors import UserError
from dopsd.support.pictures import contact_sheet, read_image, tiles, to_pil

COLUMNS = 8  # of a contact sheet
PIXELS = 1 << 20  # of a file, at most, where more than one picture is in it


class Sheet(NamedTuple):
    """One kind of prompts, drawn by the weights of one training step (0: untouched) in so many steps (NFE). chance: of
    prompts that say more, or less, than the study's usual ones (`Row.chance`)."""

    step: int
    kind: str
    nfe: int
    guidance: float = 0.0
    chance: float | None = None

    @property
    def name(self) -> str:
        """Of its files: step-0040/new-4, step-0040/ordinary-32-g1.5-said-0.5."""
        guided = f"-g{self.guidance:g}" if self.guidance else ""
        said = "" if self.chance is None else f"-said-{self.chance:g}"
        return f"step-{self.step:04d}/{self.kind}-{self.nfe}{guided}{said}"


def along(
    settings: Evaluate, steps: Iterable[int], kinds: Iterable[str], every_nfe: bool, chances: Sequence[float] = ()
) -> list[Sheet]:
    """What a trained model draws, of the kinds that the study asks: at every checkpoint new scenes and ordinary prompts in
    few steps, and ordinary ones in many, where `settings.many_at` does not say at which; at the last one rewrites, new scenes
    without the name, with another and in many steps, what is asked with other `chances`, in few steps, and ordinary prompts
    in the NFE of the sweep, too, if `every_nfe`."""
    steps, kinds, many = list(steps), set(kinds), settings.many > settings.few
    last = steps[-1]
    out = [Sheet(s, kind, settings.few) for s in steps for kind in (NEW, ORDINARY) if kind in kinds]
    out += [Sheet(last, kind, settings.few) for kind in (REWRITE, NAMELESS, OTHER) if kind in kinds]
    if NEW in kinds and many:
        out.append(Sheet(last, NEW, settings.many, settings.guidance))
    if ORDINARY in kinds:
        often = steps if settings.many_at is None else [s for s in steps if s in (*settings.many_at, last)]
        out += [Sheet(s, ORDINARY, settings.many, settings.guidance) for s in often if many]
        rest = {*settings.nfe, *(settings.nfe_sweep if every_nfe else ())} - {settings.few, settings.many}
        out += [Sheet(last, ORDINARY, nfe) for nfe in sorted(rest)]
    return out + [
        Sheet(last, kind, settings.few, chance=p) for p in chances for kind in (NEW, ORDINARY) if kind in kinds
    ]


def _parts(rows: Sequence[Row]) -> list[list[int]]:
    """The numbers of the rows whose pictures share a file: of one size, and not too many."""
    out: list[list[int]] = []
    for size in dict.fromkeys(r.size for r in rows):
        ks = [k for k, r in enumerate(rows) if r.size == size]
        most = max(1, PIXELS // (size[0] * size[1]))
        out += [ks[i : i + most] for i in range(0, len(ks), most)]
    return out


def files(folder: Path, sheet: Sheet, rows: Sequence[Row]) -> list[tuple[Path, list[int]]]:
    """The files of a sheet in a cell's folder, each with the numbers of its rows."""
    parts = _parts(rows)
    names = [sheet.name if len(parts) == 1 else f"{sheet.name}/{i:03d}" for i in range(len(parts))]
    return [(folder / f"{name}.png", ks) for name, ks in zip(names, parts, strict=True)]


def keep(images: Sequence[Tensor], folder: Path, sheet: Sheet, rows: Sequence[Row]) -> None:
    """Write the pictures (3, H, W) in [-1, 1] of a sheet's rows into a cell's folder."""
    for file, ks in files(folder, sheet, rows):
        file.parent.mkdir(parents=True, exist_ok=True)
        picture = contact_sheet(torch.stack([images[k] for k in ks]), min(COLUMNS, len(ks)))
        to_pil(picture).save(file)


def kept(folder: Path, sheet: Sheet, rows: Sequence[Row]) -> list[Tensor]:
    """The pictures of a sheet in a cell's folder: (3, H, W) in [-1, 1] each, one a row; UserError where they are not."""
    out: dict[int, Tensor] = {}
    for file, ks in files(folder, sheet, rows):
        if not file.exists():
            raise UserError(f"{file}: missing; run `dvc repro draw`")
        out |= zip(ks, tiles(read_image(file), *rows[ks[0]].size)[: len(ks)], strict=True)
    return [out[k] for k in range(len(rows))]
