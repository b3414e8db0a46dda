"""A stage of a study of how many pictures are needed: `python src/stage.py pictures train`. Its other stages are those of any
study."""

from __future__ import annotations

from pathlib import Path

from dopsd.config import pictures
from dopsd.config.params import Params
from dopsd.stages import fetch, keys
from dopsd.stages import report as standard
from dopsd.stages._parts import command
from dopsd.stages._run import run
from dopsd.study.pictures import Pictures, all_stages, write_firsts
from dopsd.support.files import write_text
from dopsd.support.text import read_text

REPORT = Path("reports/REPORT.md")
SHARED = "with the same training pictures, batches and "  # what rows share, as the report of any study says it,
OWN = f"each on its own number of training pictures ([{pictures.FILE}](../{pictures.FILE})), with equal training noise and "


def write_sets(params: Params) -> None:
    """Write data/concepts/<name>/ as the stage fetch does, and beside each the sets of its first pictures."""
    fetch.main()
    write_firsts(params)


def report() -> None:
    """Write the report as the stage report does, but for what it says that all rows share."""
    standard.main()
    before, shared, after = read_text(REPORT).partition(SHARED)
    assert shared, f"{REPORT} does not say {SHARED!r} any more"
    write_text(f"{before}{OWN}{after}", REPORT)


PARTS = {
    "keys": lambda params: keys.write(all_stages(params)),
    "fetch": write_sets,
    "train": lambda params: Pictures(params).train(),
    "report": lambda _: report(),
}
main = command(PARTS)


if __name__ == "__main__":
    run(main)
