"""What the cards of a study's published LoRAs, and the index of them, say: settings as each training wrote them down, scores
from the study's tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dopsd import backbones
from dopsd.backbones.hub import has_random_weights
from dopsd.config.params import Params, load_preset
from dopsd.config.preset import names as presets
from dopsd.evaluation.rows import PLACEHOLDER
from dopsd.report import ledger
from dopsd.report.card import write
from dopsd.report.comparison import last_step
from dopsd.report.headline import EVERY, MATCHED, TRAINED
from dopsd.report.names import score_label
from dopsd.report.tables import LOSS, lines, number_text
from dopsd.study import grid, keys
from dopsd.study.grid import Cell
from dopsd.support import paths, sealed
from dopsd.support.errors import UserError
from dopsd.support.files import read_csv, rounded
from dopsd.training import lora
from dopsd.training.identity import Identity
from dopsd.training.results import LOG_FILE, step_folder

WHO = ("method", "concept", "seed", "step")


@dataclass(frozen=True)
class Tables:
    """A study's tables, as far as cards quote them. again: the command that makes them anew."""

    comparison: pd.DataFrame
    summary: pd.DataFrame
    losses: pd.DataFrame
    again: str

    @classmethod
    def read(cls, again: str) -> Tables:
        """UserError where the study is not evaluated."""
        wanted = {
            "comparison": (*WHO, "nfe"),
            "summary": ("score", "method", "value", "low", "high"),
            "loss": (*WHO, *LOSS),
        }
        for name in wanted:
            if not (file := paths.TABLES / f"{name}.csv").exists():
                raise UserError(f"{file.absolute()}: missing: the study is not evaluated; run `{again}`")
        found = {name: read_csv(paths.TABLES / f"{name}.csv", *columns) for name, columns in wanted.items()}
        return cls(found["comparison"], found["summary"], found["loss"], again)

    def check(self, cell: Cell) -> None:
        """UserError where the tables are of another training of this cell: the losses, which both keep, differ."""
        log = paths.adapters(*cell) / LOG_FILE
        own, told = read_csv(log, "step", *LOSS), self.losses
        of_cell = (told.method == cell.method) & (told.concept == cell.concept) & (told.seed == cell.seed)
        kept, columns = told.loc[of_cell], ["step", *LOSS]
        own = own[columns].astype(float).map(rounded)  # as the table is: of a small loss few digits are left
        same = len(own) == len(kept) and np.allclose(own, kept[columns], rtol=1e-4, equal_nan=True)
        if not same:
            raise UserError(
                f"{log.absolute()}: not the training that {paths.TABLES} are of (other losses); run `{self.again}`"
            )

    def scores(self, cell: Cell, step: int, nfe: int) -> dict[str, float]:
        """A row of comparison.csv, as far as it has numbers. UserError where the cell is not in it."""
        t = self.comparison
        mine = t.loc[(t.method == cell.method) & (t.concept == cell.concept) & (t.seed == cell.seed)]
        mine = mine.loc[(mine.step == step) & (mine.nfe == nfe)]
        if len(mine) != 1:
            where = (paths.TABLES / "comparison.csv").absolute()
            raise UserError(f"{where}: no scores of {cell.name} at step {step}, {nfe} NFE; run `{self.again}`")
        return {str(k): float(v) for k, v in mine.iloc[0].items() if isinstance(v, (int, float)) and np.isfinite(v)}

    def mean(self, method: str, score: str, nfe: int) -> str:
        """A method's mean over the concepts with its interval, as text; empty where summary.csv has none."""
        t = self.summary
        found = t.loc[(t.method == method) & t.score.isin([score, f"{score}@{nfe}"])]
        return next((number_text(r.value, r.low, r.high) for r in lines(found)), "")


def quoted(params: Params) -> list[str]:
    """The scores of a cell that reports/summary.json quotes the means of, under the names of comparison.csv."""
    fidelity = params.step_size.fidelity
    plain = [name.removesuffix("@few") for name in (*EVERY, *TRAINED, *MATCHED)]
    return list(dict.fromkeys(fidelity if name == "fidelity" else name for name in plain))


def commit() -> str:
    """The commit that stands in the folder, and whether files in git differ from it."""
    found = (ledger._git(Path(), "rev-parse", "HEAD") or "").strip()
    changed = ledger._git(Path(), "status", "--porcelain", "--untracked-files=no")
    return (found + " with changes that are not committed" * bool(changed)) if found else ledger.NO_HISTORY


def named(place: str) -> str:
    """A local folder as seen from the repository's root, the last part of the path of one elsewhere; a hub's name as is."""
    root = (ledger._git(Path(), "rev-parse", "--show-toplevel") or "").strip()
    folder = Path(place).resolve()
    inside = bool(root) and folder.exists() and folder.is_relative_to(root)
    elsewhere = folder.name if Path(place).is_absolute() else place  # a published card holds no paths of a machine
    return folder.relative_to(root).as_posix() if inside else elsewhere


def licence(model: str) -> str:
    """That of a model, which holds for what is tuned from it, as the presets know it; "other" where none does."""
    known = {Path(p.backbone.model).name: p.tune.license for p in map(load_preset, presets())}
    return known.get(Path(model).name, "other")


def model(params: Params, seed: int) -> dict[str, Any]:
    """The few-step model that a seed's LoRAs are drawn on: its name and revision, and, where it is another one, the folder of
    its transformer."""
    of = keys.turbos(params).get(seed, params.backbone)
    return {"name": named(of.model), "revision": of.revision, "transformer": _transformer(of.model, of.transformer)}


def _transformer(model: str, transformer: str | None) -> str | None:
    """The folder of a transformer, where it is not the model's own."""
    if transformer is None or Path(transformer).resolve() == Path(model).resolve():
        return None
    return named(transformer)


def _trained_on(backbone: Mapping[str, Any]) -> str:
    """The model of a training, in words: its transformer may be another one's, the base's say."""
    transformer = _transformer(backbone["model"], backbone.get("transformer"))
    return named(backbone["model"]) + (f", transformer of {transformer}" if transformer else "")


def on_hub(params: Params) -> bool:
    """Whether the few-step model is a repository of the hub."""
    return not Path(params.backbone.model).exists()


def _rows(params: Params, cell: Cell, step: int, tables: Tables) -> list[dict[str, str]]:
    """A cell's scores beside the untouched model's and the method's mean, as texts."""
    few, many = params.evaluate.few, params.evaluate.many
    own, before = tables.scores(cell, step, few), tables.scores(cell._replace(method="untouched"), 0, few)
    return [
        {
            "label": score_label(name, few, many),
            "untouched": number_text(before[name], None, None) if name in before else "",
            "own": number_text(own[name], None, None),
            "mean": tables.mean(cell.method, name, few),
        }
        for name in quoted(params)
        if name in own
    ]


def write_cell(out: Path, params: Params, cell: Cell, files: Sequence[Path], load: str, tables: Tables) -> None:
    """The card of a cell's LoRA, `out`/README.md. files: those of the LoRA; load: what `load_lora_weights` is given."""
    method, step = grid.methods(params)[cell.method], last_step(params, cell.method)
    folder = paths.adapters(*cell)
    identity, held = Identity.read(folder), lora.read(step_folder(folder, step))[1]
    if identity is None:
        raise UserError(f"{folder.absolute()}: nothing says how it was trained; run `{tables.again}`")
    parts = identity.parts
    tuned = {"method": cell.method, "learning_rate": parts["learning_rate"], "seed": cell.seed}
    tuned |= {"nfe": params.evaluate.few, "size": params.fetch.size, "license": licence(params.backbone.model)}
    preset = {"tune": tuned, "methods": {cell.method: parts["settings"]}}
    preset["backbone"] = {"model": _trained_on(parts["backbone"]), "revision": parts["backbone"]["revision"]}
    preset["train"] = parts["train"] | {"lora_rank": held["r"], "lora_alpha": held["lora_alpha"]}
    facts: dict[str, Any] = {"preset": preset, "files": files, "trigger": PLACEHOLDER, "load": load, "cell": cell.name}
    facts |= {"name": f"{cell.concept}, {method.label}", "label": method.label, "method": method.objective.SAYS}
    facts |= {"concept": cell.concept, "kind": grid.kind(params, cell.concept), "pictures": len(parts["pictures"])}
    facts |= {"study": named("params.yaml"), "commit": commit(), "key": sealed.check(folder)["owner"]["cell"]}
    facts |= {"model": model(params, cell.seed), "on_hub": on_hub(params)}
    facts |= {"pipeline": backbones.kind(params.backbone).pipeline.__name__}  # pyright: ignore[reportAttributeAccessIssue]
    facts |= {"random_weights": has_random_weights(params.backbone.model), "scores": _rows(params, cell, step, tables)}
    write("cell_card.md.j2", out, **facts)


def write_index(out: Path, params: Params, cells: Sequence[Cell], tables: Tables) -> None:
    """The index of the published LoRAs, `out`/README.md: a row each."""
    few, many, methods = params.evaluate.few, params.evaluate.many, grid.methods(params)
    found = {cell: tables.scores(cell, last_step(params, cell.method), few) for cell in cells}
    names = [name for name in quoted(params) if any(name in own for own in found.values())]
    rows = [
        {"place": cell.name, "scores": [number_text(own[n], None, None) if n in own else "" for n in names]}
        for cell, own in found.items()
    ]
    used = list(dict.fromkeys(cell.method for cell in cells))
    facts = {"licence": licence(params.backbone.model), "base_model": params.backbone.model if on_hub(params) else None}
    facts |= {"study": named("params.yaml"), "commit": commit(), "methods": used, "nfe": few, "rows": rows}
    facts |= {"labels": [methods[m].label for m in used], "scores": [score_label(n, few, many) for n in names]}
    write("lora_index.md.j2", out, **facts)
