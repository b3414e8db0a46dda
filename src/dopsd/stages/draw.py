"""`make draw`: pictures of a prompt from the model of params.yaml, with or without a trained adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer

from dopsd import backbones, config, lora
from dopsd.errors import UserError
from dopsd.evaluate import draw
from dopsd.pictures import shown
from dopsd.seeds import stream
from dopsd.stages._run import run

SHOWN = 256  # pixels a side that a small picture is enlarged to


def check_words(tokenizer, prompt: str) -> None:
    """UserError where a tokenizer of whole words does not know one; those of real models know pieces of every word."""
    if tokenizer.unk_token_id is None:
        return
    if unknown := [w for w in prompt.split() if tokenizer.unk_token_id in tokenizer(w).input_ids]:
        words = sorted(w for w in tokenizer.get_vocab() if w.isalpha())
        raise UserError(f"the model has no word for {', '.join(unknown)}; it knows: {' '.join(words)}")


def main(
    prompt: Annotated[str, typer.Argument(help='such as "a large red star on sand banded , photo style"')],
    out: Annotated[Path, typer.Option(help="the picture file")] = Path("samples/draw.png"),
    adapter: Annotated[Path | None, typer.Option(help="models/lora/<method>/<concept>/<seed>/step-XXXX")] = None,
    pictures: Annotated[int, typer.Option(min=1, help="from different noise, side by side")] = 8,
    nfe: Annotated[int, typer.Option(min=1, help="steps")] = 4,
    size: Annotated[int, typer.Option(min=16, help="pixels a side; the miniature draws 64, Z-Image-Turbo 1024")] = 64,
    seed: int = 0,
) -> None:
    """Draw PROMPT and write the pictures to OUT."""
    backbone = backbones.load(config.load().backbone)
    check_words(backbone.text[0], prompt)
    if adapter:
        lora.load(backbone.transformer, adapter)
    noise = torch.randn(pictures, *backbone.latent_shape(size, size), generator=stream("draw", seed))
    images = draw(backbone, backbone.context([prompt]) * pictures, noise, nfe, batch_size=8)
    out.parent.mkdir(parents=True, exist_ok=True)
    shown(images, columns=min(pictures, 8), scale=max(1, SHOWN // size)).save(out)
    print(f"{out}: {prompt!r} in {nfe} steps from {pictures} noises")


if __name__ == "__main__":
    run(main)
