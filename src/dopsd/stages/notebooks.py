"""Stage `notebooks`: run the notebooks, from clean kernels, to pages."""

from __future__ import annotations

import os
from pathlib import Path

from dopsd.stages._run import run
from dopsd.support.errors import UserError

NOTEBOOKS, PAGES = Path("notebooks"), Path("reports/notebooks")
QUIET = {"TQDM_DISABLE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # sums are ordered by threads, so another number moves last digits of pictures


def page(file: Path) -> str | None:
    """A notebook's page after a run with the code that this stage runs; None where it is run by hand (its metadata say
    so). UserError where a cell fails."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
    from nbconvert import HTMLExporter

    notebook = nbformat.read(file, as_version=4)
    if notebook.metadata.get("by_hand"):
        return None
    try:
        NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": str(file.parent)}}).execute()
    except CellExecutionError as error:
        raise UserError(f"{file}: {str(error).strip().splitlines()[-1]}") from None
    for cell in notebook.cells:
        cell.get("metadata", {}).pop("execution", None)  # when each cell ran
        if cell.cell_type == "code":  # what libraries note on stderr names the time and the process
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    return HTMLExporter().from_notebook_node(notebook)[0]


def main() -> None:
    """Write reports/notebooks/<name>.html."""
    os.environ |= QUIET | ONE_THREAD
    pages = {PAGES / f"{f.stem}.html": page(f) for f in sorted(NOTEBOOKS.glob("*.ipynb"))}
    PAGES.mkdir(parents=True, exist_ok=True)
    for file, text in pages.items():
        if text is not None:
            file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
