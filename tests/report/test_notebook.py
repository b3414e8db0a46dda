"""What notebooks show, of studies that are on record and of such as are not."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dopsd.report.comparison import TAUGHT, TITLE, cut_sheet
from dopsd.report.grids import cut
from dopsd.report.notebook import answers, pictures, record, tables
from dopsd.support.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def said(monkeypatch):
    """All that is shown: texts and pictures."""
    out = []
    keep = lambda *found: out.extend(f.data for f in found)  # noqa: E731
    for module in (record, pictures):
        monkeypatch.setattr(module, "display", keep)
    return out


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """A repository where the root's study is on record and no other one."""
    for name in ("params.yaml", *(f"studies/{s}/params.yaml" for s in ("full", "domain", "continual"))):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("domain", "continual"):
        shutil.copy(ROOT / f"studies/{name}/claims.yaml", tmp_path / f"studies/{name}/claims.yaml")
    shutil.copytree(ROOT / "reports", tmp_path / "reports", ignore=shutil.ignore_patterns("notebooks", "*.html"))
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    record.root()
    record.root()
    assert Path.cwd() == tmp_path
    return tmp_path


def test_of_a_study_that_is_not_on_record_everything_says_so(alone, said):
    full = record.study("full")
    assert full == Path("studies/full")
    shows = [
        lambda: pictures.figure(full, "comparison"),
        lambda: pictures.sheet(full, "beacon", "sft"),
        lambda: tables.summary(full, "sft"),
        lambda: tables.matched(full),
        lambda: tables.claims(full),
        lambda: answers.cheapest(full),
        lambda: answers.answer(full, "learns"),
    ]
    for show in shows:
        show()
    assert len(said) == len(shows)
    assert all("ot on record here" in s and "`dvc repro studies/full/dvc.yaml` runs" in s for s in said)
    assert said[-1].startswith("*Does D-OPSD learn the concept?* **Not on record here.**")


def test_what_will_be_asked_is_told_in_the_studys_own_names(alone, said):
    answers.asked(record.study("domain"))
    assert said[0].startswith("**Not run: nothing of this study is on record.** `dvc repro studies/domain/dvc.yaml`")
    assert "D-OPSD, 4 x as long comes nearer to the domain than D-OPSD" in said[1] and ">= 0.05" in said[1]
    said.clear()
    answers.asked(record.study("continual"))
    assert said[1].count("| ") > 7 and "D-OPSD forgets the first concept less than SFT" in said[1]


def test_a_study_shows_its_results_by_itself_once_it_has_reports(alone, said):
    shutil.copytree(ROOT / "studies/full/reports", alone / "studies/domain/reports")
    domain = record.study("domain")
    answers.asked(domain, "comparison", "methods")
    texts = [s for s in said if isinstance(s, str)]
    assert len([s for s in said if isinstance(s, bytes)]) == 2
    assert any("**holds by its own interval alone**" in t for t in texts) and not any("Not run" in t for t in texts)
    said.clear()
    answers.answer(domain, "binds", asks="Bound?")
    assert said[0].startswith("*Bound?* **No.** D-OPSD binds the name") and "**fails** (controls: Untouched" in said[0]


def test_the_answer_is_the_ledgers(alone, said):
    file = alone / "reports/claims.json"
    found = json.loads(file.read_text())
    next(r for r in found if r["id"] == "learns").update(value=0.5, low=0.25, high=0.75, verdict="fails")
    file.write_text(json.dumps(found))
    answers.answer(record.study(), "learns")
    assert said[0].startswith("*Does D-OPSD learn the concept?* **No.**") and "0.500 [0.250, 0.750]" in said[0]
    said.clear()
    answers.answer(record.study(), "targets")
    assert "**Not asked.**" in said[0]
    said.clear()
    answers.eye(record.study())
    answers.bars(record.study())
    assert "**Yes.** With the picture 0.95 [" in said[0] and "of its 26 bars hold.**" in said[1]


def test_pictures_of_a_sheet_are_shown_to_the_pixel_and_figures_small(alone, said):
    sample = record.study()
    pictures.sheet(sample, "beacon", "sft", "dopsd")
    prompts, shown = sample.prompts("beacon"), alone / "shown.png"
    shown.write_bytes(said[0])
    whole = cut_sheet(sample.file("figures/sheets/beacon.png"), sample.params, "beacon", prompts)
    rows = {"SFT": whole["sft"], "D-OPSD": whole["dopsd"], TAUGHT: whole[TAUGHT]}
    for mine, first in zip(cut(shown, prompts[:4], list(rows), 128, TITLE, 2), rows.values(), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(mine, first[:4], strict=True))
    assert "beacon** (object): new scenes" in said[1] and "seed 0" in said[1]
    said.clear()
    pictures.figure(sample, "probe")
    pictures.figure(sample, "methods")
    sizes = [Image.open(io.BytesIO(s)) for s in said if isinstance(s, bytes)]
    assert [(i.format, i.width) for i in sizes] == [("JPEG", 900), ("PNG", 1000)]


def test_what_is_missing_is_one_clear_error(alone, monkeypatch):
    sample = record.study()
    with pytest.raises(UserError, match=r"figures/none\.png: missing, or no figure with a caption; run `dvc repro`"):
        pictures.figure(sample, "none")
    (alone / "reports/tables/pairs.csv").unlink()
    with pytest.raises(UserError, match=r"tables/pairs\.csv: missing; run `dvc repro`"):
        tables.matched(sample)
    (alone / "reports/figures/sheets/prompts.csv").unlink()
    with pytest.raises(UserError, match=r"sheets/prompts\.csv: no prompts of beacon; run `dvc repro`"):
        pictures.sheet(sample, "beacon", "sft")
    monkeypatch.chdir(alone.parent)
    with pytest.raises(UserError, match=r"no params\.yaml beside notebooks/ here or above"):
        record.root()
