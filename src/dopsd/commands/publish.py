"""`dopsd publish`: the LoRAs behind a study's headline, with cards, to a place of the user's choice.

The headline (README.md, reports/summary.json) quotes the two methods of `compare` at their last step, as means over every
concept and seed. Its cells here: these two methods, every concept, and of each few-step model the first seed that tunes it.
Where each seed is a few-step model of its own (`grid.turbos`), as in the root's study, these are all of the two methods'
cells; further seeds of one model would say the same again. `--methods` takes others in place of the two.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub.utils import parse_hf_uri

from dopsd.commands.export import export
from dopsd.config import chains
from dopsd.config.params import Params, load
from dopsd.evaluation.rows import PLACEHOLDER
from dopsd.report.comparison import last_step
from dopsd.report.published import Tables, write_cell, write_index
from dopsd.study import grid
from dopsd.study.grid import Cell
from dopsd.support import paths, sealed
from dopsd.support.errors import UserError, nearest
from dopsd.support.progress import progress
from dopsd.support.remote import Remote
from dopsd.support.text import slug
from dopsd.training import lora
from dopsd.training.results import step_folder


def headline(params: Params, methods: Sequence[str] = ()) -> list[Cell]:
    """The headline's cells (see above), seeds innermost. methods: in place of those of `compare`; UserError where one is not
    trained in this study, or is trained without a LoRA."""
    known, asked = params.grid.trained, methods or (params.compare.baseline, params.compare.method)
    for name in asked:
        if name not in known:
            raise UserError(
                f"--methods {name}: not trained in this study{nearest(name, known)}; name one of its grid.trained"
            )
        if grid.training(params, name).tune != "lora":
            raise UserError(
                f"--methods {name}: trained without a LoRA (train.tune: full); name another study or method"
            )
    turbos = params.grid.turbos or (params.backbone.model,) * len(params.grid.seeds)
    first: dict[str, int] = {}
    for turbo, seed in zip(turbos, params.grid.seeds, strict=True):
        first.setdefault(turbo, seed)
    return [Cell(m, c, s) for m in dict.fromkeys(asked) for c in params.grid.concepts for s in first.values()]


def weights(params: Params, cell: Cell) -> Path:
    """The folder of its weights at that step."""
    return step_folder(paths.adapters(*cell), last_step(params, cell.method))


def check(params: Params, cells: Sequence[Cell], again: str) -> Tables:
    """The study's tables. UserError where weights are missing or damaged, where the study is not evaluated, or where its
    tables are of other trainings. again: the command that mends it."""
    missing = [folder for cell in cells if not (folder := weights(params, cell) / lora.FILE).exists()]
    if missing:
        raise UserError(
            f"{missing[0].absolute()}: missing, {len(missing)} of {len(cells)} LoRAs are; run `{again}`, or `dvc pull` where "
            "a remote has them"
        )
    tables = Tables.read(again)
    for cell in cells:
        sealed.check(paths.adapters(*cell))
        tables.check(cell)
        for who, step in ((cell, last_step(params, cell.method)), (cell._replace(method="untouched"), 0)):
            tables.scores(who, step, params.evaluate.few)
    return tables


def _load(to: str, cell: Cell) -> str:
    """What a card's `load_lora_weights` is given: the hub's repository, or the LoRA's folder in a copy of all."""
    if to.startswith("hf://") and (at := parse_hf_uri(to)).type == "model":
        return f'"{at.id}", subfolder="{"/".join(filter(None, (at.path_in_repo, cell.name)))}"'
    return f'"{cell.name}"'


def write(params: Params, cells: Sequence[Cell], tables: Tables, to: str, out: Path) -> None:
    """Every LoRA at `out`/METHOD/CONCEPT/SEED with its card, and the index."""
    for cell in progress(cells, desc="export", unit="LoRA", shown=True):
        folder, name = out / cell.name, slug("-".join(map(str, cell)))
        facts = {"class": cell.concept, "trigger": PLACEHOLDER}
        files = export(params.backbone.name, weights(params, cell), folder, name, facts)
        write_cell(folder, params, cell, files, _load(to, cell), tables)
    write_index(out, params, cells, tables)


def publish(to: str, methods: Sequence[str], again: str) -> str:
    """Publish the headline's LoRAs of the study that is worked in -> a line that says so.

    to: a URL that fsspec knows, or an absolute path, where nothing is yet. again: the command that runs the study. UserError
    before anything is written, and before a network is asked, where something is missing.
    """
    remote = Remote.of(to, "--to")
    if chains.FILE.exists():
        raise UserError(
            f"{chains.FILE.absolute()}: a study of chains has no headline of cells; `dopsd export` writes one LoRA"
        )
    params = load()
    cells = headline(params, methods)
    tables = check(params, cells, again)
    remote.check_empty()
    with tempfile.TemporaryDirectory() as folder:
        write(params, cells, tables, to, Path(folder))
        count = remote.put(Path(folder))
    return f"{to}: {len(cells)} LoRAs, {count} files; README.md lists them"
