"""`dopsd bench`: its arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dopsd.commands import arguments
from dopsd.commands.benchmarks import BENCHMARKS
from dopsd.commands.presets import Backbone, Changes, chosen, ready
from dopsd.support.errors import UserError, nearest, printable
from dopsd.support.text import slug

UNTOUCHED = "untouched"  # the folder of the untouched model's pictures


def bench(
    benchmark: Annotated[str, typer.Argument(help=" or ".join(BENCHMARKS))],
    prompts: Annotated[Path, typer.Option(help="its own file of prompts; of dpg the folder dpg_bench/prompts")],
    backbone: Backbone = "zimage",
    lora: Annotated[
        Path | None, typer.Option(help="a folder with a LoRA or tuned weights: drawn from the same noise, too")
    ] = None,
    name: Annotated[str, typer.Option(help="of the tuned model's folder in OUT, beside untouched")] = "tuned",
    out: Annotated[Path, typer.Option(help="where everything goes")] = Path("bench"),
    noises: Annotated[
        int | None, typer.Option(min=1, help="pictures of a prompt; as many as the benchmark asks for if not given")
    ] = None,
    nfe: Annotated[int | None, typer.Option(min=1, max=1000, help="steps, in place of the preset's")] = None,
    size: Annotated[int | None, typer.Option(min=16, help="pixels a side")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="of the noise")] = 0,
    only: Annotated[int | None, typer.Option(min=1, help="the first so many prompts: a trial")] = None,
    changes: Changes = None,
) -> None:
    """Draw a benchmark's own prompts, with and without a LoRA, for its own scorer. The same command goes on."""
    if benchmark not in BENCHMARKS:
        raise UserError(f"no benchmark {benchmark!r}{nearest(benchmark, BENCHMARKS)}")
    kind = BENCHMARKS[benchmark]
    if noises and noises > kind.most:
        raise UserError(f"--noises {noises}: the scorer of {benchmark} reads {kind.most} of a prompt; give no more")
    if slug(name) == UNTOUCHED:
        raise UserError(f"--name {name}: the untouched model's own folder; name another")
    models = {UNTOUCHED: None} | ({slug(name): arguments.weights(lora)} if lora else {})
    preset = chosen(backbone, changes, tune__size=size, tune__nfe=nfe)
    arguments.own_folder(out)
    every = kind.prompts(prompts)
    from dopsd.commands.bench_pictures import Run
    from dopsd.commands.measure import processes

    asked = Run(ready(preset), benchmark, every, every[:only], noises or kind.noises, seed)
    asked.draw(models, out)
    if not processes(preset.backbone).is_main_process:
        return
    if only and only < len(every):
        print(f"{only} of {len(every)} prompts: a trial, whose scores are not the benchmark's")
    for folder in models:
        place = out / folder / benchmark
        print(f"{printable(str(place))}: pictures of {len(asked.prompts)} prompts; they are scored by")
        print(printable(kind.line(prompts, place, preset.tune.size, asked.noises)))
