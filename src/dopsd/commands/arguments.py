"""Arguments, looked at before any work begins: texts, files and folders as a person gives them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from dopsd.support import paths
from dopsd.support.errors import Usage, UserError

LONGEST = 20_000  # characters of a text: far more than any model reads
WEIGHTS = ("pytorch_lora_weights.safetensors", "transformer")  # of a LoRA's folder, or of a fully tuned model's


def check(arguments: Sequence[str]) -> None:
    """Usage error where an argument is empty, as a variable that is not set leaves it, or no text."""
    for given in arguments:
        if not given.strip() or re.fullmatch(r"--[a-z-]+=\s*", given):
            raise Usage(f"the argument {given!r} is empty; give a value, or leave the option out")
        try:
            given.encode()
        except UnicodeEncodeError:
            raise Usage(f"the argument {given!r} is not UTF-8; give it, or rename the file, in UTF-8") from None
        if "\0" in given:
            raise Usage(f"the argument {given!r} holds a zero byte; take it out")


def text(said: str, option: str) -> str:
    """A prompt or a name; UserError where it is longer than any is meant, or holds control characters."""
    if len(said) > LONGEST:
        raise UserError(f"{option}: {len(said)} characters, more than {LONGEST}; give a shorter one")
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", said):
        raise UserError(f"{option} {said[:60]!r}: holds control characters; take them out")
    return said


def new_folder(out: Path, option: str = "--out") -> Path:
    """A folder that files are to be written to, there or not yet; UserError where it cannot be one."""
    _short(out, option)
    if out.exists() and not out.is_dir():
        raise UserError(f"{option} {out}: a file, not a folder; name another")
    _writable(out, option)
    return out


def own_folder(out: Path, option: str = "--out") -> Path:
    """A folder that a run is to have for itself; UserError where others' files are in it, or where a study keeps its own."""
    from dopsd.sets.listing import marked

    new_folder(out, option)
    if out.is_dir() and not marked(out):
        others = sorted(f.name for f in out.iterdir() if not f.name.startswith("."))
        if others:
            shown = ", ".join(others[:3]) + ", ..." * (len(others) > 3)
            raise UserError(f"{option} {out}: holds files that are not of a run of this ({shown}); name a new folder")
    real = out.resolve()
    for study in real.parents:
        kept = next((p for p in paths.OWN if real.is_relative_to(study / p)), None)
        if kept and (study / "dvc.yaml").is_file():
            raise UserError(
                f"{option} {out}: `dvc repro` keeps {study / kept} and may remove what is there; name another"
            )
    return out


def place(to: str, option: str) -> str:
    """Where something is to be published: a URL as it is, a folder of this machine (file://, too) as an absolute path.
    UserError where such a folder is others'."""
    path = to.removeprefix("file://")
    return to if "://" in path or not path.strip("/") else str(own_folder(Path(path), option).absolute())


def new_file(out: Path, suffix: str, option: str = "--out") -> Path:
    """A file that is to be written, or replaced; UserError where it is of another format, or where it cannot be written."""
    _short(out, option)
    if out.suffix.lower() != suffix:
        raise UserError(f"{option} {out}: give a name that ends in {suffix}")
    if out.is_dir():
        raise UserError(f"{option} {out}: a folder; name the file in it, e.g. {out / ('draw' + suffix)}")
    _writable(out, option)
    return out


def _short(out: Path, option: str) -> None:
    for part in out.absolute().parts:
        if len(os.fsencode(part)) > 255:
            raise UserError(
                f"{option} {part[:40]}...: a name of {len(os.fsencode(part))} bytes, more than 255; shorten it"
            )


def _writable(out: Path, option: str) -> None:
    there = next(p for p in (out, *out.absolute().parents) if p.exists())
    if there.is_dir() or there == out:
        if not os.access(there, os.W_OK):
            raise UserError(f"{option} {out}: {there} cannot be written to; mend its rights, or name another")
        return
    raise UserError(f"{option} {out}: {there} is a file, not a folder; name another")


def weights(folder: Path, option: str = "--lora") -> Path:
    """A folder of tuned weights; UserError where it is none."""
    if folder.is_file():
        raise UserError(f"{option} {folder}: a file; name the folder that holds {WEIGHTS[0]}")
    if not folder.is_dir():
        raise UserError(f"{option} {folder}: no such folder; name one that `dopsd tune` wrote, or a step-XXXX of it")
    if not any((folder / name).exists() for name in WEIGHTS):
        inside = sorted(str(found.parent) for name in WEIGHTS for found in folder.glob(f"*/*/{name}"))
        near = f"did you mean {inside[-1]}?" if inside else "name one that `dopsd tune` wrote, or a step-XXXX of it"
        raise UserError(f"{option} {folder}: holds neither {WEIGHTS[0]} nor {WEIGHTS[1]}/; {near}")
    return folder


def finished(folder: Path) -> Path:
    """The folder of a finished training; UserError where it is none."""
    if not (folder / "preset.yaml").is_file():
        raise UserError(f"{folder}: no preset.yaml; name a folder that `dopsd tune` finished")
    return folder
