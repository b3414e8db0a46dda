"""Stage `notebooks`: run the notebooks, from clean kernels, to copies with their outputs, whose bytes repeat."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import joblib
import typer

from dopsd.stages._run import run
from dopsd.support.errors import UserError, nearest
from dopsd.support.files import write_text

if TYPE_CHECKING:
    from nbformat import NotebookNode

NOTEBOOKS, EXECUTED = Path("notebooks"), Path("reports/notebooks")
QUIET = {
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "PYTHONWARNINGS": "ignore",
}
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # sums are ordered by threads, so another number moves last digits of pictures
MOST = 1_000_000  # bytes of an executed notebook, so that a host shows it


def read(file: Path) -> NotebookNode:
    """A notebook's file."""
    import nbformat

    return nbformat.read(file, as_version=4)


def by_hand(file: Path) -> bool:
    """Whether a notebook depends on more than files, so that no stage runs it (its metadata say so)."""
    return bool(read(file).metadata.get("by_hand"))


def executed(file: Path) -> str:
    """A notebook after a run with the code that this stage runs. UserError where a cell fails or it grows too large."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    source, notebook = read(file), read(file)
    try:
        where = {"metadata": {"path": str(file.parent)}}
        NotebookClient(notebook, timeout=1200, resources=where, extra_arguments=["--log-level=ERROR"]).execute()
    except CellExecutionError as error:
        raise UserError(f"{file}: {error.ename}: {error.evalue}") from None
    notebook.metadata = source.metadata  # without the version of whoever ran it
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when each cell ran
        if cell.cell_type == "code":  # what libraries note on stderr names the time and the process
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    text = nbformat.writes(notebook) + "\n"
    if len(text.encode()) > MOST:
        raise UserError(f"{file}: {len(text.encode()):,} bytes with its outputs, more than {MOST:,}; show less in it")
    return text


def chosen(name: str | None) -> list[Path]:
    """The notebook of a name, or all that are not run by hand. UserError where there is none of that name."""
    files = {f.stem: f for f in sorted(NOTEBOOKS.glob("*.ipynb"))}
    if name is None:
        return [f for f in files.values() if not by_hand(f)]
    if name not in files:
        raise UserError(f"{NOTEBOOKS}: no notebook {name!r}{nearest(name, files)}")
    return [files[name]]


def main(
    name: Annotated[str | None, typer.Argument(help="one of them alone, also one that is run by hand")] = None,
) -> None:
    """Write reports/notebooks/<name>.ipynb, and remove those whose notebook is gone."""
    os.environ |= QUIET | ONE_THREAD
    files = chosen(name)
    texts = joblib.Parallel(min(joblib.cpu_count(), len(files)) or 1)(joblib.delayed(executed)(f) for f in files)
    made = {EXECUTED / f.name: text for f, text in zip(files, cast(list[str], texts), strict=True)}
    for file in EXECUTED.glob("*"):
        if not (NOTEBOOKS / file.name).exists():
            file.unlink()
    for file, text in made.items():
        write_text(text, file)


if __name__ == "__main__":
    run(main)
