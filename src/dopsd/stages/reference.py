"""Stage `reference`: the untouched model's pictures of the ordinary prompts, shared by every cell of a seed."""

from __future__ import annotations

from typing import Annotated

import typer
from safetensors.torch import save_file

from dopsd import backbones, config, paths
from dopsd.evaluate import draw_reference
from dopsd.stages._run import run


def main(seed: Annotated[int, typer.Option()]) -> None:
    """Draw them at every NFE that this seed is evaluated at."""
    params = config.load()
    file = paths.reference(seed)
    file.parent.mkdir(parents=True, exist_ok=True)
    backbone = backbones.load(params.backbone)
    save_file(draw_reference(backbone, seed, params.evaluate, every_nfe=seed == params.grid.seeds[0]), file)


if __name__ == "__main__":
    run(main)
