"""Stage `miniature`: how good the shipped miniature is, on held-out scenes, prompts and noise."""

from __future__ import annotations

from pathlib import Path

import torch

from dopsd.config.params import load
from dopsd.mini.quality import measure
from dopsd.stages._run import run, section
from dopsd.support import paths
from dopsd.support.files import write_csv, write_json
from dopsd.support.pictures import contact_sheet, to_pil


def main() -> None:
    """Write reports/metrics/miniature.json, reports/tables/degradations.csv, and pictures: for sheets of prompts one a model,
    number of steps and openness, and a sheet of names, a row a kind."""
    found = measure(Path("models"), section(load().miniature, "miniature"))
    write_json(found.scores, paths.METRICS / "miniature.json")
    write_csv(found.table, paths.TABLES / "degradations.csv")
    folder = paths.PROMPT_SHEETS
    folder.mkdir(parents=True, exist_ok=True)
    for said, texts in found.prompts.items():
        (folder / f"said-{said:g}.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    for (who, said), images in found.pictures.items():
        to_pil(contact_sheet(images, columns=8)).save(folder / f"{who}-said-{said:g}.png")
    columns = len(next(iter(found.names.values())))
    to_pil(contact_sheet(torch.cat(list(found.names.values())), columns)).save(folder / "names.png")
    (folder / "names.txt").write_text("\n".join(found.names) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
