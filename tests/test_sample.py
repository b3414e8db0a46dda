"""The root's study is a sample of the full one: its cells, made on this machine or another, are the same cells there."""

import json
from pathlib import Path

import pandas as pd
import pytest

from dopsd.config.params import load
from dopsd.support.files import read_csv, read_json

FULL = Path("studies/full/reports")
REPEATED = Path("benchmarks/repeat.json")
WHO = ["method", "concept", "seed", "step"]
TIMES = 3  # deviations of repeated runs


def rows(file: Path, methods: list[str]) -> pd.DataFrame:
    """Rows in few steps of a comparison.csv, by cell and step."""
    table = read_csv(file)
    few = table.loc[(table.nfe == table.nfe.min()) | (table.nfe == 4)]
    return few.loc[few.nfe.eq(4) & few.method.isin(methods)].set_index(WHO)


def apart(mine: pd.DataFrame, full: pd.DataFrame, deviation: dict[str, float]) -> pd.Series:
    """How many deviations the shared cells' scores of new scenes are apart, as a root mean square over the cells."""
    shared = mine.index.intersection(full.index)
    assert len(shared) >= 20, "the two studies share hardly a cell"
    scores = [s for s in deviation if deviation[s] and s in mine and s in full]
    less = mine.loc[shared, scores] - full.loc[shared, scores]
    return ((less**2).mean() ** 0.5) / pd.Series(deviation)[scores]


@pytest.fixture
def tables():
    deviation = read_json(REPEATED)["deviation"]
    trained = list(load().grid.trained)
    return *(rows(f / "tables/comparison.csv", trained) for f in (Path("reports"), FULL)), deviation


def test_the_root_is_a_sample_of_the_full_study():
    root, full = json.loads(json.dumps(load().model_dump())), None
    import os

    here = Path.cwd()
    os.chdir("studies/full")
    try:
        full = load().model_dump()
    finally:
        os.chdir(here)
    assert set(root["grid"]["concepts"]) <= set(full["grid"]["concepts"])
    assert [Path(t).name for t in root["grid"]["turbos"]] == [Path(t).name for t in full["grid"]["turbos"]]
    for method in root["grid"]["trained"]:
        assert root["methods"][method] == full["methods"][method]
    chosen = read_json(FULL / "metrics/step_size.json")
    assert root["step_size"]["given"] == {m: chosen[m]["value"] for m in root["grid"]["trained"]}


def test_its_cells_agree_within_three_deviations_of_repeated_runs(tables):
    found = apart(*tables)
    assert (found < TIMES).all(), found.to_string()


def test_another_method_in_a_cells_place_would_be_seen(tables):
    """What a wrong sign or a lost roll-out does to a cell is more than this: here SFT stands where D-OPSD should."""
    mine, full, deviation = tables
    swapped = full.rename(index={"sft": "dopsd", "dopsd": "sft"}, level="method")
    assert (apart(mine, swapped, deviation) >= TIMES).any()
