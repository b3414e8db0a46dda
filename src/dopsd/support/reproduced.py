"""Do the scores in the working tree agree with the committed ones? `python -m dopsd.support.reproduced` exits with 1 if not.

Tolerance: a number may move by half the width of its committed 95 % interval, by a tenth of its size, or by .02, whichever
is most. Machines round differently, and a training amplifies that; a broken method moves much more.
"""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

from dopsd.support import paths
from dopsd.support.files import numbers_table

TABLES = (paths.TABLES / "summary.csv", paths.TABLES / "matched.csv")
NUMBER = ("value", "low", "high", "n")
RELATIVE, ABSOLUTE, OF_INTERVAL = 0.10, 0.02, 0.5


def tolerance(committed: dict) -> float:
    """How far a number may move."""
    width = 0.0 if committed["low"] is None else committed["high"] - committed["low"]
    return max(OF_INTERVAL * width, RELATIVE * abs(committed["value"]), ABSOLUTE)


def differences(committed: dict, new: dict) -> list[str]:
    """One line for each number that moved too far, is missing, or is new."""
    a, b = dict(numbers_table(committed)), dict(numbers_table(new))
    out = [f"{name}: only {'committed' if name in a else 'regenerated'}" for name in sorted(a.keys() ^ b.keys())]
    for name in sorted(a.keys() & b.keys()):
        moved = abs(a[name]["value"] - b[name]["value"])
        if not moved <= tolerance(a[name]):
            old = a[name]["value"]
            out.append(f"{name}: {old:g} -> {b[name]['value']:g} (tolerance {tolerance(a[name]):.3g})")
    return out


def numbers_of(text: str, file: str) -> dict:
    """The numbers of a file of scores: JSON, or a table of methods' means, each with its interval."""
    if file.endswith(".json"):
        return json.loads(text)
    rows = list(csv.DictReader(io.StringIO(text)))
    return {f"{r['score']} of {r['method']}": {k: float(r[k]) if r[k] else None for k in NUMBER} for r in rows}


def committed_files() -> list[str]:
    """The scores that git holds at HEAD."""
    listed = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "HEAD", f"{paths.METRICS}/", *map(str, TABLES)],
        check=True,
        capture_output=True,
        text=True,
    )
    return [f for f in listed.stdout.split() if f.endswith((".json", ".csv"))]


def main() -> int:
    """Compare and say so; the exit status."""
    files, bad, count = committed_files(), [], 0
    for file in files:
        shown = subprocess.run(["git", "show", f"HEAD:{file}"], check=True, capture_output=True, text=True).stdout
        old = numbers_of(shown, file)
        count += len(numbers_table(old))
        if not Path(file).exists():
            bad.append(f"{file}: missing")
            continue
        new = numbers_of(Path(file).read_text(encoding="utf-8"), file)
        bad += [f"{file}: {line}" for line in differences(old, new)]
    print("\n".join(bad))
    print(f"{count} numbers in {len(files)} files compared with HEAD, {len(bad)} outside of the tolerance")
    return 1 if bad or not count else 0


if __name__ == "__main__":
    sys.exit(main())
