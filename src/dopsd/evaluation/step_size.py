"""The rule that chooses each method's learning rate, on a concept that the comparison does not use.

Among the candidates: the largest mean, over the checkpoints, of (concept fidelity + retention of adherence) / 2, both in
few steps. The first is 1 when "[V]" is drawn as it should be, the second 1 when ordinary prompts are followed as before.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from dopsd.backbones.base import Backbone
from dopsd.evaluation.cell import Instruments, draw_reference, evaluate_cell
from dopsd.sets.items import Item
from dopsd.training.loop import train
from dopsd.training.weights import walk
from dopsd.world.concepts import ConceptPictures


def score(cell: dict, nfe: int) -> list[dict]:
    """Fidelity, retention and their mean at every checkpoint of a cell: rows {step, fidelity, retention, score}."""
    rows = []
    for step, at in cell["steps"].items():
        fidelity = at["scenes"][str(nfe)]["concept_fidelity"]["value"]
        retention = at["ordinary"][str(nfe)]["retention_adherence"]["value"]
        rows.append(
            {"step": int(step), "fidelity": fidelity, "retention": retention, "score": (fidelity + retention) / 2}
        )
    return rows


def choose(table: pd.DataFrame) -> dict[str, dict]:
    """The winner of each method: {method: {"value", "low", "high", "n"}}, low and high its neighbours among the n
    candidates (the resolution of the search). table: rows {method, learning_rate, step, score}."""
    chosen = {}
    for method, rows in table.groupby("method", sort=False):
        means = rows.groupby("learning_rate").score.mean()
        rates, best = list(means.index), int(means.argmax())
        low, high = rates[max(best - 1, 0)], rates[min(best + 1, len(rates) - 1)]
        chosen[method] = {"value": float(rates[best]), "low": float(low), "high": float(high), "n": len(rates)}
    return chosen


def search(
    open_backbone: Callable[[], Backbone],
    items: list[Item],
    training: ConceptPictures,
    tools: Instruments,
    params,
    work: Path,
) -> pd.DataFrame:
    """Train and score every method with every candidate -> rows {method, learning_rate, step, fidelity, ...}."""
    few = min(params.evaluate.nfe)
    settings = params.evaluate.model_copy(update={"nfe": (few,), "nfe_sweep": ()})
    seed, rows = params.step_size.seed, []
    reference = draw_reference(open_backbone(), tools.reader, seed, settings, every_nfe=False)
    for method in params.grid.trained:
        for rate in params.step_size.candidates:
            how = {
                "seed": seed,
                "learning_rate": rate,
                "work": work,
                "name": f"{method} {params.step_size.concept} {rate:g}",
            }
            done = train(open_backbone(), items, method, params.train, **how)
            backbone = open_backbone()
            checkpoints = walk(backbone, done, params.train.checkpoints)
            shared = {"seed": seed, "described": False, "every_nfe": False}
            cell, _ = evaluate_cell(backbone, checkpoints, training, reference, tools, settings, **shared)
            rows += [{"method": method, "learning_rate": rate, **row} for row in score(cell, few)]
            shutil.rmtree(done)
    return pd.DataFrame(rows)
