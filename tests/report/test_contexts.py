"""What is made of the scores of contexts: by hand from made-up ones, and of the study's own."""

import json
from pathlib import Path

import pandas as pd
import pytest

from dopsd.config.contexts import Contexts
from dopsd.config.contexts import load as load_contexts
from dopsd.config.params import load
from dopsd.evaluation.rows import NEW
from dopsd.evaluation.seen import KNOWN
from dopsd.report.contexts import figures, page, tables
from dopsd.report.contexts.names import called, look
from dopsd.report.names import label
from dopsd.report.site import page as site
from dopsd.report.site import studies
from dopsd.support.errors import UserError
from dopsd.support.files import read_csv, read_json

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "studies/contexts"
TREE = {"text": {"label": "Text"}, "seen": {"label": "Seen", "sees": "training"}}
OF = Contexts.model_validate({"student": "text", "teacher": "seen", "contexts": TREE})
FIDELITY = {"text": {"a": (0.0, 0.2), "b": (0.2, 0.2)}, "seen": {"a": (0.8, 1.0), "b": (1.0, 1.0)}}


def long(more=()):
    """Two concepts, two seeds, a picture each: `FIDELITY`, and of what is seen half of the sizes, a quarter by chance."""
    rows = []
    for method, of in FIDELITY.items():
        for concept, values in of.items():
            for seed, value in enumerate(values):
                scores = {"concept_fidelity": value, "own_shape": value, "adherence": 0.5, "chance_leaks_size": 0.25}
                scores |= {"leaks_size": 0.5 if method == "seen" else 0.25} | dict(more)
                where = {"method": method, "concept": concept, "seed": seed, "step": 0, "nfe": 4, "guidance": 0.0}
                where |= {"kind": NEW, "said": float("nan"), "prompt": "p", "group": "0"}
                rows += [where | {"score": s, "value": v} for s, v in scores.items()]
    return pd.DataFrame(rows)


def test_numbers_are_over_the_concepts_and_differences_are_paired():
    trainings = tables.measured(long(), "text", 4)
    found = tables.table(trainings, list(FIDELITY), OF).set_index(["score", "context"])
    fidelity = found.loc[("concept_fidelity", "seen")]
    assert fidelity.n == 2 and fidelity.less_student == pytest.approx(0.8) and pd.isna(fidelity.less_teacher)
    assert fidelity.low < fidelity.value < fidelity.high
    plain = found.loc[("concept_fidelity", "text")]
    assert plain.less_teacher == pytest.approx(-0.8) and pd.isna(plain.less_student)
    assert found.loc[("leaks", "seen")].value == pytest.approx(0.5)
    assert [tables.on(s) for s in ("leaks_size", "chance_leaks_size", "leaks_added")] == ["share", "share", "plain"]
    assert found.loc[("leaks_added", "seen")].value == pytest.approx(0.25)
    assert found.loc[("leaks_added", "text")].value == 0.0


def test_leaks_are_averaged_over_attributes_that_both_let_be_seen():
    trainings = tables.measured(long({"leaks_position": 1.0}.items()), "text", 4)  # of no chance for the position
    assert trainings.last("seen")["a", 0]["leaks"] == 0.5
    trainings = tables.measured(long({"leaks_position": 1.0, "chance_leaks_position": 0.0}.items()), "text", 4)
    row = trainings.last("seen")["a", 0]
    assert (row["leaks"], row["leaks_by_chance"], row["leaks_added"]) == (0.75, 0.125, 0.625)


def test_a_score_that_lacks_a_seed_of_a_concept_is_left_out():
    table = long()
    table = table.loc[~((table.score == "adherence") & (table.seed == 1) & (table.concept == "a"))]
    trainings = tables.measured(table, "text", 4)
    found = tables.table(trainings, list(FIDELITY), OF)
    assert "adherence" not in set(found.score) and "concept_fidelity" in set(found.score)
    assert "adherence" not in tables.by_concept(trainings, ["seen"], dict.fromkeys("ab", "object")).dropna(axis=1)


def test_the_tables_in_words():
    trainings = tables.measured(long(), "text", 4)
    with called(OF.contexts):
        found = tables.table(trainings, list(FIDELITY), OF)
        rows = list(OF.contexts)
        assert "| Seen | 2 " in tables.headline(found, rows) and "+0.800 [" in tables.differences(found, rows)
        assert "shape (2 concepts)" in tables.attributes(found, rows)
        assert "0.500 (0.250)" in tables.leaked(found, rows)
        assert label("noise") == KNOWN["noise"] and label("seen") == "Seen"
        figure = figures.contexts(trainings, OF, "x", "one prompt")
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles[0] == "concept fidelity, n = 2" and len(titles) == 4
    assert label("seen") == "seen"


def test_a_picture_that_must_teach_nothing_is_hollow_and_one_read_otherwise_pale():
    given = [OF.contexts["seen"].model_copy(update=u) for u in ({}, {"sees": "blank"}, {"layer": -1}, {"vlm": "x"})]
    looks = [look(OF.contexts["text"]), *map(look, given)]
    assert "markerfacecolor" in looks[2] and sum("markerfacecolor" in how for how in looks) == 1
    assert looks[3] == looks[4] != looks[1] and len({how["color"] for how in looks}) == 4


@pytest.fixture(scope="module")
def concepts():
    """What the study, and the full study, measured of each concept."""
    mine = read_csv(STUDY / "reports/tables/concepts.csv").set_index(["context", "concept"])
    full = read_csv(ROOT / "studies/full/reports/tables/concepts.csv").set_index(["method", "concept"])
    return mine, full


@pytest.mark.parametrize(
    ("context", "row"), [("text", "untouched"), ("image_text", "teacher"), ("full_text", "described")]
)
def test_rows_that_the_full_study_has_are_the_same_there(concepts, context, row):
    """On another device: a picture in a hundred may be read otherwise."""
    mine, full = concepts
    for score in ("concept_fidelity", "adherence", "contrast"):
        apart = (mine.loc[context][score] - full.loc[row][score]).abs()
        assert len(apart) >= 12 and apart.max() < 0.02 and apart.mean() < 0.005, score


def test_known_pictures_score_as_they_must_in_the_study(concepts):
    mine = concepts[0].drop("riso", level="concept")  # under a look the reader reads little of the scene
    assert mine.loc["renders"].concept_fidelity.mean() > 0.95 and mine.loc["renders"].adherence.mean() > 0.95
    assert mine.loc["swapped"].concept_fidelity.mean() < 0.1 and mine.loc["noise"].concept_fidelity.mean() < 0.3
    assert mine.loc["copies"].leaks.mean() > 0.9 and abs(mine.loc["renders"].leaks_added.mean()) < 0.1
    assert mine.loc["fogged"].contrast.mean() < 0.7 and mine.loc["fogged"].blur_read.mean() > 1


def test_every_claim_of_the_study_has_its_controls_measured():
    records = json.loads((STUDY / "reports/claims.json").read_text(encoding="utf-8"))
    controls = read_json(STUDY / "reports/controls.json")
    rows = {*load_contexts(STUDY / "contexts.yaml").contexts, *KNOWN}
    assert len(records) == 19 and all(r["claims_date"] for r in records)
    for record in records:
        mine = controls[record["id"]]
        assert {c["must"] for c in mine} == {"hold", "fail"} and all(c["value"] is not None for c in mine)
        assert {record["method"], *(c["row"] for c in mine)} <= rows


def test_the_ledger_says_that_nothing_is_trained(monkeypatch):
    monkeypatch.chdir(STUDY)
    params = load()
    text = page.ledger(params, [], {})
    assert "nothing trained" in text and "13 concepts, 2 few-step models" in text
    assert page.asks(params) == "12 prompts x 2 noises a concept and few-step model"


def test_the_page_of_all_studies_does_not_open_with_it(monkeypatch):
    monkeypatch.chdir(ROOT)
    mine = studies.opened(Path("studies/contexts"))
    assert mine is not None and mine.devices() == "cpu" and mine.units == "concepts"
    monkeypatch.setattr(site, "found", lambda: {"contexts": mine})
    with pytest.raises(UserError, match="missing; run `dvc repro`"):  # no methods are compared in it
        site.write()
