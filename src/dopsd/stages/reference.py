"""Stage `reference`: the untouched model's pictures of the ordinary prompts, shared by every cell of a seed."""

from __future__ import annotations

from safetensors.torch import save_file

from dopsd import backbones
from dopsd.config.params import load
from dopsd.evaluation.cell import draw_reference
from dopsd.evaluation.instruments.reader import load_reader
from dopsd.stages._run import run
from dopsd.support import paths


def main() -> None:
    """Draw them for every seed of the grid, at every NFE that the seed is evaluated at."""
    params = load()
    backbone, reader = backbones.load(params.backbone), load_reader()
    for seed in params.grid.seeds:
        file = paths.reference(seed)
        file.parent.mkdir(parents=True, exist_ok=True)
        every_nfe = seed == params.grid.seeds[0]
        save_file(draw_reference(backbone, reader, seed, params.evaluate, every_nfe), file)


if __name__ == "__main__":
    run(main)
