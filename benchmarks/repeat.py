"""How far a cell moves when nothing but the rounding of sums does: `python benchmarks/repeat.py`, ten minutes of two cores.

The same trainings of the root's study (SFT and D-OPSD on two concepts, each turbo) under other instruction sets, drawn in few
steps and scored. benchmarks/repeat.json holds the deviation of each score of new scenes over those runs, pooled over the
cells; tests/test_sample.py holds the root's cells against those of studies/full, which another machine made, by three of
these.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from dopsd.evaluation.rows import NEW
from dopsd.support.files import read_table, rounded, write_json

ROOT = Path(__file__).parents[1]
FILE = Path(__file__).with_suffix(".json")
RUNS: dict[str, dict[str, str]] = {  # what rounds sums otherwise, by the environment
    "one thread": {},
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "no vectors": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
    "AVX-512 without AMX": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
}
STUDY = f"""
extends: {ROOT}/params.yaml
grid: {{references: [untouched, described], concepts: [beacon, fresco]}}
train: {{checkpoints: []}}
prompts: {{ordinary: 8}}
evaluate: {{nfe: [4], nfe_sweep: []}}
"""
STAGES = ("fetch", "prompts", "step_size", "train", "draw", "evaluate")


def run(environment: dict[str, str]) -> pd.Series:
    """Mean of each score of new scenes in every cell, by method, concept, seed and score."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "params.yaml").write_text(STUDY)
        (Path(folder) / "models").mkdir()
        for model in (ROOT / "models").glob("mini-*"):
            (Path(folder) / "models" / model.name).symlink_to(model)
        for stage in STAGES:
            command = [sys.executable, str(ROOT / "src" / "stage.py"), stage]
            subprocess.run(command, cwd=folder, env=os.environ | environment, check=True)
        table = read_table(Path(folder) / "samples" / "scores.parquet")
    new = table.loc[(table.kind == NEW) & table.said.isna() & (table.step > 0)]
    return new.groupby(["method", "concept", "seed", "score"]).value.mean()


def main() -> None:
    """Run all of `RUNS` and write the file."""
    found = pd.DataFrame({name: run(environment) for name, environment in RUNS.items()})
    deviations = (found.var(axis=1).groupby("score").mean() ** 0.5).to_dict()
    write_json(
        {"runs": list(RUNS), "cells": len(found.index.droplevel("score").unique()), "deviation": rounded(deviations)},
        FILE,
    )
    print(pd.Series(deviations).to_string())


if __name__ == "__main__":
    main()
