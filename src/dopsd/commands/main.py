"""`dopsd`: tune a few-step model on a person's own pictures, draw with it, export it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dopsd.commands import arguments, bench, studies
from dopsd.commands.presets import Backbone, Changes
from dopsd.commands.presets import chosen as _preset
from dopsd.commands.presets import ready as _ready
from dopsd.config.preset import Preset
from dopsd.support.errors import Usage, UserError, printable, reported
from dopsd.support.quiet import quiet
from dopsd.support.text import slug

if TYPE_CHECKING:
    from dopsd.sets.folder import Pictures
    from dopsd.sets.items import Item

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)


def _pictures(preset: Preset, images: Path, name: str, captions: str, out: Path) -> Pictures:
    """The pictures of a folder with the captions that are there, after what is taken and left out is printed.

    captions: "name" or "vlm", for pictures without. out: where the run writes.
    """
    from dataclasses import replace

    from dopsd.commands.captions import who
    from dopsd.commands.measure import processes
    from dopsd.sets import folder
    from dopsd.sets.captions import PLACEHOLDER, renamed

    if captions not in ("name", "vlm"):
        raise UserError(f"--captions {captions!r}; choose name or vlm")
    if captions == "vlm":
        who(preset.backbone)
    state, how = processes(preset.backbone), preset.tune
    pictures = folder.read_pictures(images, name, how.size, how.background, out)
    if how.trigger != PLACEHOLDER:
        notes = [*pictures.notes, f"captions: {how.trigger!r} is read as {PLACEHOLDER}, the word that is trained"]
        pictures = replace(pictures, items=renamed(pictures.items, how.trigger), notes=notes)
    missing = [i.file.name for i in pictures.items if not i.captions]
    if state.is_main_process:
        for line in pictures.said():
            print(f"{images}: {printable(line)}")
        if missing:
            few = ", ".join(missing[:3]) + ", ..." * (len(missing) > 3)
            print(printable(f"{len(missing)} without a caption ({few}): --captions {captions}"))
    return pictures


def _captioned(preset: Preset, pictures: Pictures, captions: str, out: Path) -> list[Item]:
    """The pictures with captions for all of them; a VLM's are kept in `out`."""
    from contextlib import ExitStack

    from dopsd.commands.captions import who, writer
    from dopsd.commands.measure import processes
    from dopsd.sets.captions import kept, with_captions
    from dopsd.sets.listing import mark
    from dopsd.support.alone import alone

    if captions == "name" or all(i.captions for i in pictures.items):
        return with_captions(pictures.items)
    with processes(preset.backbone).main_process_first(), ExitStack() as held:  # one process writes, all read

        def opened() -> Callable[[Item], str]:
            write = writer(preset.backbone)
            held.enter_context(alone(out, "a writer of captions"))
            mark(out)
            return write

        return with_captions(pictures.items, kept(opened, out / "captions.json", who(preset.backbone)))


def _said(pictures: Pictures) -> list[str]:
    """What the card says of the pictures: the same however often a run was stopped."""
    from dopsd.sets.listing import OWN

    return [line for line in pictures.said() if not line.endswith(OWN)]


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="a set of `src/dopsd/sets/hub.yaml`: dreambooth, 3d-icon, tarot, yarn")],
    subject: Annotated[str | None, typer.Option(help="of dreambooth: dog, teapot, ...")] = None,
    pictures: Annotated[int | None, typer.Option(min=1, help="the first so many; all if not given")] = None,
    out: Annotated[Path | None, typer.Option(help="the new folder; pictures/<name> if not given")] = None,
) -> None:
    """Fetch an image set from the Hugging Face hub into a folder for `tune`, with its licence."""
    from dopsd.sets import hub

    source = hub.chosen(name, subject)
    out = out or Path("pictures") / (subject or name)
    count = hub.save(source, out, pictures)
    print(f"{out}: {count} pictures; licence: {source.licence}")
    print(f'dopsd tune --images {out} --name "{source.class_name}"')


@app.command()
def probe(
    images: Annotated[Path, typer.Option(help="a folder of pictures, with or without captions")],
    name: Annotated[str, typer.Option(help='what the pictures show, e.g. "my corgi"')] = "thing",
    backbone: Backbone = "zimage",
    wrong: Annotated[
        Path | None, typer.Option(help="a folder of pictures of something else; the miniature's scenes if not given")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="where everything goes; probed/<folder> if not given")] = None,
    pictures: Annotated[int, typer.Option(min=1, help="of the folder, at most")] = 8,
    noises: Annotated[int, typer.Option(min=1, max=100, help="that each picture is drawn from")] = 2,
    size: Annotated[int | None, typer.Option(min=16, help="pixels a side of a square picture")] = None,
    trigger: Annotated[str | None, typer.Option(help="the word that names the concept in the captions")] = None,
    background: Annotated[str | None, typer.Option(help="under what is transparent")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="of the noise")] = 0,
    changes: Changes = None,
) -> None:
    """Say before tuning whether the teacher is better than the student on the pictures of a folder. Nothing is trained."""
    arguments.text(name, "--name")
    preset = _preset(backbone, changes, tune__size=size, tune__trigger=trigger, tune__background=background)
    out = arguments.own_folder(out or Path("probed") / slug(images.resolve().name))
    from dopsd.commands import probe as job

    _ready(preset)
    found = _pictures(preset, images, name, "name", out)
    items = _captioned(preset, found, "name", out)[:pictures]
    others = _pictures(preset, wrong, "another thing", "name", out).items if wrong else []
    for line in job.probe(preset, items, others, noises, seed, out, _said(found)):
        print(printable(line))


@app.command()
def tune(
    images: Annotated[Path, typer.Option(help="a folder of pictures, with or without captions")],
    name: Annotated[str, typer.Option(help='what the pictures show, e.g. "my corgi"')],
    backbone: Backbone = "zimage",
    out: Annotated[Path | None, typer.Option(help="where everything goes; tuned/<name> if not given")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="optimiser steps, in place of the preset's")] = None,
    size: Annotated[int | None, typer.Option(min=16, help="pixels a side of a square picture")] = None,
    learning_rate: Annotated[float | None, typer.Option(min=0)] = None,
    captions: Annotated[
        str, typer.Option(help='for pictures without: "name" says only [V], "vlm" lets the VLM write')
    ] = "name",
    trigger: Annotated[
        str | None, typer.Option(help="the word that names the concept in the captions, if it is not [V]: sks")
    ] = None,
    background: Annotated[
        str | None, typer.Option(help='under what is transparent: white, if not given, or "#rrggbb"')
    ] = None,
    measured: Annotated[bool, typer.Option("--measure/--no-measure", help="score the result (see `measure`)")] = True,
    sharded: Annotated[
        bool, typer.Option("--sharded", help="full fine-tuning whose processes share the model out among them (FSDP2)")
    ] = False,
    memory: Annotated[
        float | None, typer.Option(help="GiB of the GPU to keep within: as few blocks are checkpointed as that allows")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be trained, and write nothing")] = False,
    changes: Changes = None,
) -> None:
    """Fine-tune on the pictures of a folder; Ctrl-C saves, the same command goes on, with more --steps after the end, too."""
    file = slug(arguments.text(name, "--name"))
    options = {"tune__size": size, "tune__learning_rate": learning_rate, "train__steps": steps}
    preset = _preset(backbone, changes, **options, tune__trigger=trigger, tune__background=background)
    out = arguments.own_folder(out or Path("tuned") / file)
    from dopsd.commands import tune as job

    _ready(preset)
    pictures = _pictures(preset, images, name, captions, out)
    if dry_run:
        from dopsd.commands.outlook import outlook
        from dopsd.sets.captions import with_captions

        known = with_captions(pictures.items) if captions == "name" else [i for i in pictures.items if i.captions]
        print("\n".join(map(printable, outlook(preset, known, out, measured, sharded, memory))))
        if sharded:
            print("sharded: that memory is of all processes together; see docs/real-models.md for what each holds")
        return
    items = _captioned(preset, pictures, captions, out)
    job.tune(preset, items, name, out, measured, _said(pictures), sharded, memory)


@app.command()
def measure(
    folder: Annotated[Path, typer.Argument(help="what `dopsd tune` wrote")],
    images: Annotated[Path, typer.Option(help="the folder of pictures that it was tuned on")],
    name: Annotated[str, typer.Option(help="what the pictures show, as it was given to `tune`")],
    changes: Changes = None,
) -> None:
    """Score a finished training against the untouched model: FOLDER/measured.json, and a table in its README.md.

    The prompts in FOLDER/prompts.jsonl are used if they are there, so they can be written by hand. Leave an instrument
    out with --set instruments.judge=null.
    """
    arguments.text(name, "--name")
    preset = _preset(str(arguments.finished(folder) / "preset.yaml"), changes)
    from dopsd.commands import measure as job
    from dopsd.commands import tune as tuning
    from dopsd.support.alone import alone

    _ready(preset)
    written = "vlm" if (folder / "captions.json").exists() else "name"
    pictures = _pictures(preset, images, name, written, folder)
    with alone(folder, "a measuring"):
        items = _captioned(preset, pictures, written, folder)
        tuning.measure_again(preset, items, name, folder, _said(pictures))
    if job.processes(preset.backbone).is_main_process:
        print(f"{folder / job.FILE}: scores; {folder}/README.md shows them")


@app.command()
def draw(
    prompt: Annotated[str, typer.Argument(help='"[V] in the snow"')],
    backbone: Backbone = "mini-turbo",
    lora: Annotated[
        Path | None, typer.Option(help="a folder with a LoRA or tuned weights: without and with, side by side")
    ] = None,
    nfe: Annotated[list[int] | None, typer.Option(min=1, max=1000, help="steps; may be given several times")] = None,
    pictures: Annotated[int, typer.Option(min=1, max=1000, help="from different noise")] = 4,
    size: Annotated[int | None, typer.Option(min=16, help="pixels a side")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="of the noise")] = 0,
    out: Annotated[Path, typer.Option(help="the picture file")] = Path("samples/draw.png"),
    changes: Changes = None,
) -> None:
    """Draw PROMPT, with and without a LoRA, from the same noise."""
    arguments.text(prompt, "PROMPT")
    arguments.new_file(out, ".png")
    if lora:
        arguments.weights(lora)
    preset = _preset(backbone, changes, tune__size=size)
    from dopsd.commands import draw as job

    job.draw(_ready(preset), prompt, lora, nfe, pictures, size, seed, out)
    print(f"{out}: {prompt!r} from {pictures} noises")


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="a folder step-XXXX of a training")],
    out: Annotated[Path, typer.Option(help="the folder for the files")],
    name: Annotated[str, typer.Option(help="of the ComfyUI file")],
    backbone: Annotated[
        str | None, typer.Option(help="the preset of its model, where the checkpoint does not say it")
    ] = None,
) -> None:
    """Write a checkpoint's LoRA for diffusers and for ComfyUI, at strength 1.0."""
    arguments.new_folder(out)
    file = slug(arguments.text(name, "--name"))
    asked = _preset(backbone, None).backbone.name if backbone else None
    if (out / "preset.yaml").exists():
        raise UserError(f"--out {out}: a finished training with its own LoRA is there; name a new folder")
    from dopsd.commands import export as files

    written = files.export(files.backbone_of(checkpoint, asked), checkpoint, out, file, {})
    print("\n".join(str(out / f) for f in written))


app.command()(bench.bench)
app.command()(studies.plan)
app.command()(studies.publish)


def main() -> None:
    """Run. What a person can mend is printed in one line: exit status 1, 2 where the command line is none, 130 where they
    stopped it."""
    quiet()
    with reported():
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a name that the terminal has no letters for is shown escaped
                stream.reconfigure(errors="backslashreplace")
        given = sys.argv[1:]
        arguments.check(given)
        try:
            status = app(args=given or ["--help"], prog_name="dopsd", standalone_mode=False)
        except typer.TyperException as error:
            raise Usage(f"{' '.join(error.format_message().split())}; see `dopsd {_command(given)}--help`") from None
        except typer.Abort:
            raise KeyboardInterrupt from None
        if status == 130:  # what typer makes of Ctrl-C
            raise KeyboardInterrupt
        if status:
            sys.exit(status)


def _command(given: list[str]) -> str:
    known = {command.callback.__name__ for command in app.registered_commands if command.callback}
    return f"{given[0]} " if given and given[0] in known else ""


if __name__ == "__main__":
    main()
