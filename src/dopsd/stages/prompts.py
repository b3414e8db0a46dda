"""Stage `prompts`: write what all methods are asked, once."""

from __future__ import annotations

from dopsd.backbones.vlm import Vlm
from dopsd.config.params import load
from dopsd.evaluation import rows
from dopsd.stages._run import run
from dopsd.study.prompts import written
from dopsd.support import paths


def main() -> None:
    """Write data/prompts/<concept>.jsonl for every concept, and ordinary.jsonl."""
    params = load()
    writer = params.prompts.writer if params.prompts.source == "vlm" else None
    ask = Vlm.beside(params.backbone, writer.model, writer.revision).ask if writer else None
    files = written(params, ask)
    for file, mine in files.items():
        rows.write(mine, file)
    for file in set(paths.PROMPTS.glob("*.jsonl")) - set(files):
        file.unlink()


if __name__ == "__main__":
    run(main)
