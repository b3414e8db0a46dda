"""Stage `page`: reports/index.html, the study as one page, from the committed reports of all studies."""

from __future__ import annotations

from pathlib import Path

from dopsd.report.site import page
from dopsd.stages._run import run
from dopsd.support.files import write_text

PAGE = Path("reports/index.html")


def main() -> None:
    """Write reports/index.html."""
    write_text(page.write(), PAGE)


if __name__ == "__main__":
    run(main)
