"""Text files, read in one way everywhere: UTF-8 with or without a byte order mark, any line end, one clear error."""

from __future__ import annotations

import json
import math
import re
import stat
import unicodedata
from pathlib import Path
from typing import Any

from dopsd.support.errors import UserError, told

LARGEST = 256 * 2**20  # bytes of a text file that we open


def regular(file: Path) -> Path:
    """The file, if it is one that can be read: UserError for what is missing, a folder, a pipe, a device."""
    try:
        mode = file.stat().st_mode
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; check the path") from None
    except OSError as error:
        raise UserError(f"{file}: {error.strerror or told(error)}; check the path and its rights") from None
    except ValueError as error:  # a NUL in the name
        raise UserError(f"{str(file)!r}: {told(error)}; give another path") from None
    if stat.S_ISDIR(mode):
        raise UserError(f"{file}: a folder, not a file; give a file")
    if not stat.S_ISREG(mode):
        raise UserError(f"{file}: not a regular file (a pipe or a device); give a file")
    return file


def read_text(file: Path) -> str:
    """The text of a file, its line ends as \\n. UserError where it is missing, no file, too large or not UTF-8."""
    size = regular(file).stat().st_size
    if size > LARGEST:
        raise UserError(
            f"{file}: {size / 2**20:.0f} MiB, more than {LARGEST // 2**20} of a text file; give a smaller one"
        )
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not UTF-8 (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise UserError(f"{file}: {error.strerror or told(error)}; check its rights") from None
    if "\0" in text:
        raise UserError(f"{file}: not text (a zero byte); save it as UTF-8 text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def slug(name: str) -> str:
    """A name in any script as a file's: "My corgi" -> "my-corgi", "柯基" stays. UserError where nothing is left."""
    plain = unicodedata.normalize("NFC", name).lower()
    out = re.sub(r"[\W_]+", "-", plain).strip("-").encode()[:100].decode(errors="ignore").strip("-")
    if not out:
        raise UserError(f'the name {name!r} has no letter or digit; name the concept, e.g. "my corgi"')
    return out


def read_lines(file: Path) -> list[tuple[int, str]]:
    """The lines of a file with their numbers from 1, split at line ends only (not at U+2028 and such), without blank ones."""
    lines = enumerate(read_text(file).split("\n"), 1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def json_value(text: str, where: str) -> Any:
    """What a JSON text holds; `where` names its file (and line). UserError where it is none, holds a key twice or NaN."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key, value in found:
            if key in out:
                raise UserError(f"{where}: {key!r} stands twice; keep one")
            out[key] = value
        return out

    def number(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            raise UserError(f"{where}: {text} is too large for a number; write a finite one")
        return value

    def constant(text: str) -> float:
        raise UserError(f"{where}: {text} is not a number; write a finite one")

    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_float=number)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeEncodeError:
        raise UserError(f"{where}: half a character (\\ud800 to \\udfff); write the whole one") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: not JSON ({error}); mend it") from None
    except (RecursionError, ValueError) as error:  # ValueError: thousands of digits
        raise UserError(f"{where}: JSON that cannot be read ({told(error)}); mend it") from None


def json_object(text: str, where: str) -> dict[str, Any]:
    """`json_value` where it must be an object."""
    value = json_value(text, where)
    if not isinstance(value, dict):
        raise UserError(f"{where}: {type(value).__name__}, not an object {{...}}; mend it")
    return value


def json_lines(file: Path) -> list[tuple[int, dict[str, Any]]]:
    """The objects of a JSONL file with their line numbers, split at \\n only. UserError that names file and line."""
    return [(number, json_object(line, f"{file}:{number}")) for number, line in read_lines(file)]
