"""Files and folders of results: read with one clear error, written whole or not at all, equal numbers as equal bytes."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dopsd.support.errors import UserError, told
from dopsd.support.text import read_text

if TYPE_CHECKING:
    import pandas as pd

DIGITS = 5  # significant ones, of every number that is kept in git
SMALLEST = 6  # decimals; what is smaller is the rounding error of a zero
TORCH = r"inline_container.*unexpected pos|PytorchStreamWriter failed writing"  # what torch says where a disk is full
PART, OLD = ".tmp-", ".old-"  # before the name of what is being written, and of what is being replaced or removed


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A path beside `target` to write a file or a folder at. When the block ends well, all of it is on the disk and takes
    target's place; a kill, an error or a full disk at any moment leaves what was there. UserError where it cannot be written.

    The path ends as target does, so writers that go by a file's suffix take it. Two processes must not write one target: see
    `support.alone`.
    """
    part = target.with_name(PART + target.name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _erase(part)
        yield part
        _to_disk(part)
        replace(part, target)
    except BaseException as error:
        with suppress(OSError):
            _erase(part)
        if reason := _unwritten(error, target.parent):
            raise UserError(
                f"{target}: cannot be written ({reason}); make room or mend the rights, and run again: what was there before "
                "is kept"
            ) from None
        raise


def _unwritten(error: BaseException, folder: Path) -> str | None:
    """Why a disk did not take what was written; None for an error of another kind. torch and safetensors have no OSError."""
    if isinstance(error, OSError):
        named = error.filename
        here = named is None or str(named).startswith(str(folder))
        return (error.strerror or told(error)) if here else None
    text = str(error)
    if found := re.search(r"\(os error (\d+)\)", text):
        return os.strerror(int(found[1]))
    if isinstance(error, RuntimeError) and re.search(TORCH, text):
        return "the disk is full, or a quota or the largest size of a file is reached"
    return None


def replace(source: Path, target: Path) -> None:
    """Move a file or a folder to where it belongs, in place of what is there: never into it. OSError where it cannot be; then
    what was there is there still."""
    target.parent.mkdir(parents=True, exist_ok=True)
    old = target.with_name(OLD + target.name)
    _erase(old)
    if source.is_dir() or target.is_dir():
        _aside(target, old)
    try:
        os.replace(source, target)
    except OSError as error:
        if os.path.lexists(old):
            os.replace(old, target)
        if error.errno != errno.EXDEV:
            raise
        with whole(target) as part:  # from another disk
            shutil.copytree(source, part, symlinks=True) if source.is_dir() else shutil.copy2(source, part)
        remove(source)
    _fsync(target.parent)
    _erase(old)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, where it is there. A kill on the way leaves no half of a folder under its name."""
    old = path.with_name(OLD + path.name)
    _erase(old)
    _aside(path, old)
    _erase(old)


def tidy(folder: Path) -> None:
    """Remove what killed writers left in a folder, at any depth."""
    for left in [f for f in folder.rglob(".*") if f.name.startswith((PART, OLD))]:
        _erase(left)


def _aside(path: Path, old: Path) -> None:
    if not os.path.lexists(path):
        return
    try:
        os.replace(path, old)
    except OSError as error:
        if error.errno != errno.EXDEV:  # a folder of a lower layer cannot be renamed
            raise
        _erase(path)


def _erase(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    for each in [*path.rglob("*"), path] if path.is_dir() else [path]:
        _fsync(each)


def _fsync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError:
        if not path.is_dir():  # some file systems know no fsync of a folder
            raise
    finally:
        os.close(number)


def read_json(file: Path) -> dict:
    """A file of scores; UserError where it is missing or broken."""
    if not file.exists():
        raise UserError(f"{file}: missing; run `dvc repro`")
    try:
        found = json.loads(read_text(file))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: not JSON ({told(error)}); delete it and run `dvc repro`") from None
    if not isinstance(found, dict):
        raise UserError(f"{file}: {type(found).__name__}, not an object; delete it and run `dvc repro`")
    return found


def number(file: Path, *names: str) -> float:
    """A number in a file of scores, by the names that lead to it; UserError where it is not there."""
    found: Any = read_json(file)
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not math.isfinite(found):
        raise UserError(f"{file}: {'.'.join(names)}: no number; delete the file and run `dvc repro`")
    return found


def text_of(file: Path, name: str) -> str:
    """A text in such a file; UserError where it is not there."""
    if not isinstance(found := read_json(file).get(name), str):
        raise UserError(f"{file}: {name}: no text; delete the file and run `dvc repro`")
    return found


def rounded(x: Any) -> Any:
    """Numbers rounded, without negative zeros, at any depth of dicts; everything else as it is."""
    if isinstance(x, dict):
        return {k: rounded(v) for k, v in x.items()}
    return round(float(f"{x:.{DIGITS}g}"), SMALLEST) + 0.0 if isinstance(x, float) else x


def write_text(text: str, file: Path) -> None:
    """Write a text as it is, in UTF-8; the file appears whole or not at all."""
    with whole(file) as part:
        part.write_bytes(text.encode("utf-8"))


def write_json(scores: dict, file: Path) -> None:
    """Write scores, rounded."""
    write_text(json.dumps(rounded(scores), indent=1) + "\n", file)


def sort_metadata(file: Path) -> None:
    """Put the header of a safetensors file in order: it is written in one that changes from run to run."""
    with file.open("r+b") as f:
        length = int.from_bytes(f.read(8), "little")
        header = json.dumps(json.loads(f.read(length)), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        f.seek(8)
        f.write(header.encode().ljust(length))


def write_csv(table: pd.DataFrame, file: Path) -> None:
    """Write a pandas table, rounded."""
    numbers = table.select_dtypes("float").columns
    with whole(file) as part:
        table.assign(**{c: table[c].map(rounded) for c in numbers}).to_csv(part, index=False)


def write_table(table: pd.DataFrame, file: Path) -> None:
    """Write a long pandas table as Parquet, as it is; equal tables are equal bytes."""
    with whole(file) as part:
        table.to_parquet(part, index=False, compression="zstd")


def read_table(file: Path) -> pd.DataFrame:
    """A table of `write_table`; UserError where it is missing or broken."""
    import pandas as pd

    try:
        return pd.read_parquet(file)
    except FileNotFoundError:
        raise UserError(f"{file}: missing; run `dvc repro`") from None
    except (OSError, ValueError) as error:  # pyarrow's are of these kinds
        raise UserError(f"{file}: not a table ({told(error)}); delete it and run `dvc repro`") from None


def read_csv(file: Path, *columns: str) -> pd.DataFrame:
    """A table of `write_csv` with these columns; UserError where it is missing or broken."""
    import pandas as pd

    if not file.exists():
        raise UserError(f"{file}: missing; run `dvc repro`")
    try:
        table = pd.read_csv(file)
    except (OSError, ValueError) as error:  # pandas' are ValueErrors
        raise UserError(f"{file}: not a table ({told(error)}); delete it and run `dvc repro`") from None
    if lacking := [c for c in columns if c not in table]:
        raise UserError(f"{file}: no column {lacking[0]!r}; delete it and run `dvc repro`")
    return table


def numbers_table(scores: dict, prefix: str = "") -> list[tuple[str, dict]]:
    """Nested scores as (dotted name, number) pairs."""
    if "value" in scores:
        return [(prefix, scores)]
    return [pair for k, v in scores.items() for pair in numbers_table(v, f"{prefix}.{k}" if prefix else k)]
