"""Do the scores in the working tree agree with the committed ones? `python -m dopsd.support.reproduced` exits with 1 if not.

Tolerance: a number may move by half the width of its committed 95 % interval, by a tenth of its size, or by .02, whichever
is most. Machines round differently, and a training amplifies that; a broken method moves much more.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from dopsd.support import paths
from dopsd.support.files import numbers_table, read_json

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


def committed_files() -> list[str]:
    """The scores that git holds at HEAD."""
    listed = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "HEAD", f"{paths.METRICS}/"], check=True, capture_output=True, text=True
    )
    return [f for f in listed.stdout.split() if f.endswith(".json")]


def main() -> int:
    """Compare and say so; the exit status."""
    files, bad, count = committed_files(), [], 0
    for file in files:
        old = json.loads(
            subprocess.run(["git", "show", f"HEAD:{file}"], check=True, capture_output=True, text=True).stdout
        )
        count += len(numbers_table(old))
        if not Path(file).exists():
            bad.append(f"{file}: missing")
            continue
        bad += [f"{file}: {line}" for line in differences(old, read_json(Path(file)))]
    print("\n".join(bad))
    print(f"{count} numbers in {len(files)} files compared with HEAD, {len(bad)} outside of the tolerance")
    return 1 if bad or not count else 0


if __name__ == "__main__":
    sys.exit(main())
