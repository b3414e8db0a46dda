"""Stage `miniature`: how good the shipped miniature is, on held-out scenes, prompts and noise."""

from __future__ import annotations

from pathlib import Path

from dopsd.config.params import load
from dopsd.mini.quality import measure
from dopsd.stages._run import run, section
from dopsd.support import paths
from dopsd.support.files import write_json
from dopsd.support.pictures import contact_sheet, to_pil


def main() -> None:
    """Write reports/metrics/miniature.json and, for a sheet of prompts, a picture a model and number of steps."""
    settings = section(load().miniature, "miniature")
    scores, texts, pictures = measure(Path("models"), settings)
    write_json(scores, paths.METRICS / "miniature.json")
    paths.PROMPT_SHEETS.mkdir(parents=True, exist_ok=True)
    (paths.PROMPT_SHEETS / "prompts.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    for who, images in pictures.items():
        to_pil(contact_sheet(images, columns=8)).save(paths.PROMPT_SHEETS / f"{who}.png")


if __name__ == "__main__":
    run(main)
