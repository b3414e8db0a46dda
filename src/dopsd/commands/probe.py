"""`dopsd probe`: before anything is tuned, whether the teacher is better than the student on a person's pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from dopsd import backbones
from dopsd.backbones.hub import has_random_weights
from dopsd.commands.measure import panel, processes
from dopsd.config.preset import Preset
from dopsd.evaluation import drawing
from dopsd.evaluation.probe_folder import CONTEXTS, Probe, elsewhere, scores_of
from dopsd.report.grids import picture_grid, save, tile
from dopsd.report.tables import lines, number_text
from dopsd.sets.items import Item
from dopsd.sets.listing import mark
from dopsd.support import markdown
from dopsd.support.alone import alone
from dopsd.support.errors import UserError, printable
from dopsd.support.files import whole, write_csv, write_text
from dopsd.support.pictures import from_pil
from dopsd.training import texts

TABLE, SHEET, CARD = "probe.csv", "probe.png", "README.md"
SIDE, COLUMNS = 192, 8  # pixels of a picture on the sheet, and at most so many beside each other
READ = (
    "The student reads a picture's caption, the teacher the picture, too; nothing is tuned. A wrong picture must not help: "
    "what it gives is not of yours. Scores of a picture and the one that was seen reward a copy, too."
)


def probe(
    preset: Preset,
    items: Sequence[Item],
    wrong: Sequence[Item],
    noises: int,
    seed: int,
    out: Path,
    said: Sequence[str] = (),
) -> list[str]:
    """Draw with the untouched model in every context, score, and write out/probe.csv, out/probe.png and out/README.md -> what
    is found, in two sentences, and where it is; a table is printed.

    wrong: pictures from elsewhere, taken in turn; scenes of the miniature's world where there are none. said: of the
    pictures, for the card. All processes must call; the main one scores and writes. UserError where the preset has no
    instrument of fidelity, where a caption cannot be read, or where `out` holds a probe, before anything is drawn.
    """
    if (out / TABLE).exists():
        raise UserError(f"{out / TABLE}: of a probe before this one; name another folder with --out, or remove {out}")
    looking, state = panel(preset), processes(preset.backbone)
    scores_of(looking)
    if edited := [item for item in items if item.inputs]:
        raise UserError(f"{edited[0].file}: is made from input pictures; the probe is of pictures with captions alone")
    backbone = backbones.load(preset.backbone)
    for item in items:
        for text in item.captions.values():
            drawing.check_words(backbone.tokenizer, text)
    cut = texts.check(backbone, items, seen=True)
    with state.main_process_first():
        looking.fetch()
    shown = [wrong[k % len(wrong)].image() for k in range(len(items))] if wrong else elsewhere(items, seed)
    asked = Probe.of(items, shown, noises, seed)
    with alone(out, "a probe"):
        if state.is_main_process:
            mark(out)
            for line in cut:
                print(printable(f"cut: {line}"))
        drawn = asked.drawn(backbone, preset.tune.nfe, batch_size=8 if preset.tune.size < 256 else 1)
        found = []
        if state.is_main_process:
            values = asked.scored(drawn, looking)
            table, found = asked.table(values, looking), asked.verdict(values, looking)
            write_csv(table, out / TABLE)
            _sheet(asked, drawn, out / SHEET)
            print(_shown(table))
            write_text(_card(preset, asked, _shown(table), [*found, *_caution(preset)], [*said, *cut]), out / CARD)
            found = [*found, f"{out}: {CARD}, {TABLE}, {SHEET}"]
        state.wait_for_everyone()
    return found


def _caution(preset: Preset) -> list[str]:
    if not has_random_weights(preset.backbone.model):
        return []
    return ["**Random weights: this model was never trained, so the numbers say nothing but that the probe runs.**"]


def _sheet(asked: Probe, drawn: dict[str, list[Tensor]], file: Path) -> None:
    """A column a picture, from its first noise: what it is, what each context draws, and the wrong picture."""
    n = min(len(asked.items), COLUMNS)
    seen = {"your picture": [from_pil(i.image()) for i in asked.items[:n]]}
    seen |= {CONTEXTS[name].replace(" (", "\n(").replace(" + ", "\n+ "): images[:n] for name, images in drawn.items()}
    seen["the wrong picture"] = [from_pil(image) for image in asked.wrong[:n]]
    tiles: list[list[np.ndarray]] = [[tile(image, SIDE) for image in images] for images in seen.values()]
    with whole(file) as part:
        save(picture_grid(tiles, [i.file.name for i in asked.items[:n]], list(seen), 1, title=10), part)


def _shown(table: pd.DataFrame) -> str:
    """`Probe.table` in words: a row a score and context."""
    rows = []
    for r in lines(table):
        row = {"score": f"{r.score} ({r.better} is better)", "the model is given": CONTEXTS[r.context]}
        less = number_text(r.less_student, r.less_low, r.less_high, sign=True)
        row |= {"value": number_text(r.value, r.low, r.high)}
        rows.append(row | {"less the student's": "" if pd.isna(r.less_student) else less})
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)


def _card(preset: Preset, asked: Probe, shown: str, found: Sequence[str], said: Sequence[str]) -> str:
    n, noises = len(asked.items), len(asked.rows) // len(asked.items)
    how = f"{preset.backbone.model}, untouched, {preset.tune.nfe} steps; pictures: {n}, each drawn from {noises} noises (the "
    how += "same in every context); intervals are 95 %, over the pictures."
    parts = [
        "# Is the teacher better than the student?",
        *found,
        f"![what is drawn]({SHEET})",
        shown,
        markdown.text(how),
    ]
    return "\n\n".join([*parts, READ, "\n".join(f"- {markdown.text(line)}" for line in said)]).rstrip() + "\n"
