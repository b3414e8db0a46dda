import pytest
from made_up import cells_of

from dopsd.config.study import Compared
from dopsd.report import headline, pairs, tables
from dopsd.report.along import Trainings

COMPARE = Compared(method="dopsd", baseline="sft")


def of(cells, trained=("sft", "dopsd")):
    trainings = Trainings(cells, trained, "concept_fidelity", 4, dict.fromkeys(trained, 3))
    matched = pairs.matched(pairs.pairs(trainings, ["sft"]), "sft")
    return headline.headline(tables.summary(cells, "sft"), matched, None, COMPARE, 4, "concept_fidelity")


def test_more_rows_make_it_no_longer():
    few = of(cells_of())
    assert list(few) == ["untouched", "described", "base", "sft", "dopsd", "at equal fidelity"]
    assert set(few["base"]) == {"concept_fidelity", "blur_read"} and few["dopsd"]["leakage"] == pytest.approx(0.754)
    assert set(few["at equal fidelity"]) == {f"{s}, dopsd less sft" for s in ("contrast", "leakage", "retention_kid")}
    methods = ["untouched", "again", "teacher", "described", "base", "sft", "off_policy", "dopsd"]
    assert of(cells_of(methods=methods), ("sft", "off_policy", "dopsd")) == few
