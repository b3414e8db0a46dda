"""Files of scores and tables: read with one clear error, written so that equal numbers are equal bytes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dopsd.support.errors import UserError, told
from dopsd.support.text import read_text

if TYPE_CHECKING:
    import pandas as pd

DIGITS = 5  # significant ones, of every number that is kept in git
SMALLEST = 6  # decimals; what is smaller is the rounding error of a zero


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


def write_json(scores: dict, file: Path) -> None:
    """Write scores, rounded."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(rounded(scores), indent=1) + "\n", encoding="utf-8")


def sort_metadata(file: Path) -> None:
    """Put the header of a safetensors file in order: it is written in one that changes from run to run."""
    with file.open("r+b") as f:
        length = int.from_bytes(f.read(8), "little")
        header = json.dumps(json.loads(f.read(length)), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        f.seek(8)
        f.write(header.encode().ljust(length))


def write_csv(table: pd.DataFrame, file: Path) -> None:
    """Write a pandas table, rounded."""
    file.parent.mkdir(parents=True, exist_ok=True)
    numbers = table.select_dtypes("float").columns
    table.assign(**{c: table[c].map(rounded) for c in numbers}).to_csv(file, index=False)


def write_table(table: pd.DataFrame, file: Path) -> None:
    """Write a long pandas table as Parquet, as it is; equal tables are equal bytes. The file appears whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(file.name + ".tmp")
    table.to_parquet(temporary, index=False, compression="zstd")
    temporary.replace(file)


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
