"""Tables and answers in git are what the scores in git say: of the studies whose long tables it holds."""

import hashlib
import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from dopsd import objectives
from dopsd.config import contexts as context_files
from dopsd.config.params import load
from dopsd.report import tables
from dopsd.report.contexts import tables as of_contexts
from dopsd.report.names import called_as_in
from dopsd.stages import contexts, report
from dopsd.support import paths
from dopsd.support.files import read_table, write_csv

ROOT = Path(__file__).parents[2]
HELD = sorted(f.parents[1].name for f in ROOT.glob(f"studies/*/{paths.TABLE}"))
COMPARED = [name for name in HELD if name != "contexts"]


@pytest.fixture
def study(monkeypatch):
    def go(name):
        monkeypatch.chdir(ROOT / "studies" / name)
        return load()

    return go


def test_the_long_tables_are_there_and_are_those_of_the_record():
    assert HELD == ["base", "contexts", "eight", "pictures", "rewrites"]
    for name in HELD:
        stage = yaml.safe_load((ROOT / "studies" / name / "dvc.lock").read_text())["stages"]["evaluate"]
        (out,) = (o for o in stage["outs"] if o["path"] == paths.TABLE.as_posix())
        assert out["md5"] == hashlib.md5((ROOT / "studies" / name / paths.TABLE).read_bytes()).hexdigest()


@pytest.mark.parametrize("name", COMPARED)
def test_a_studys_tables_and_answers_are_what_its_scores_say(name, study, tmp_path):
    params = study(name)
    with called_as_in({n: objectives.method(n, params.methods, params.where) for n in params.methods}):
        found = report.measured(params)
        write_csv(tables.comparison(found.cells, found.kinds, params.evaluate.few), tmp_path / "comparison.csv")
        write_csv(tables.summary(found.cells, params.compare.baseline), tmp_path / "summary.csv")
    for table in ("comparison", "summary"):
        pd.testing.assert_frame_equal(
            pd.read_csv(tmp_path / f"{table}.csv"), pd.read_csv(paths.TABLES / f"{table}.csv")
        )
    kept = {r["id"]: r for r in json.loads(Path("reports/claims.json").read_text())}
    assert {a.claim.id: a.verdict for a in found.found} == {i: r["verdict"] for i, r in kept.items()}


def test_the_contexts_table_is_what_its_scores_say(study, tmp_path):
    params = study("contexts")
    asked = context_files.load()
    rows = [*asked.contexts, *contexts.KNOWN]
    trainings = of_contexts.measured(read_table(paths.TABLE), asked.student, params.evaluate.few)
    write_csv(of_contexts.table(trainings, rows, asked), tmp_path / "contexts.csv")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "contexts.csv"), pd.read_csv(paths.TABLES / "contexts.csv"))


def test_the_data_card_tells_every_column():
    text = (ROOT / "docs" / "data-card.md").read_text(encoding="utf-8").split("## What was scored")[1].split("## ")[0]
    told = {
        name
        for line in text.splitlines()
        if line.startswith("| `")
        for name in re.findall("`([a-z]+)`", line.split("|")[1])
    }
    for name in HELD:
        assert told == set(read_table(ROOT / "studies" / name / paths.TABLE).columns)
        assert f"../studies/{name}/{paths.TABLE}" in text
