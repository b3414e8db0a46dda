"""A question's figure and words, of hand-made cells whose points are known."""

import pytest

from dopsd.config.questions import Question
from dopsd.report import questions, tables
from dopsd.report.along import Trainings
from dopsd.report.palette import colour

ASKED = Question(asks="Which is <better>?", rows=("dopsd", "sft"), against="sft")


@pytest.fixture
def trainings(cells):
    return Trainings(cells, ("sft", "dopsd"), "concept_fidelity", 4, {"sft": 3, "dopsd": 16})


def test_a_line_a_row_in_the_order_of_the_question(trainings):
    figure = questions.figure(ASKED, trainings, "concept_fidelity")
    axes = next(axes for axes in figure.axes if axes.get_title() == "concept fidelity")
    lines = {line.get_color(): line for line in axes.lines}
    assert list(lines)[-2:] == [colour("dopsd"), colour("sft")] and len(lines) == len(axes.lines)
    steps, values = lines[colour("sft")].get_data()
    units = trainings.points["sft"]
    last = {rows[-1]["step"] for rows in units.values()}
    assert steps[0] > 0 and set(steps[-1:]) == last  # the untouched model, step 0, has no place on the scale
    assert values[-1] == pytest.approx(0.59, abs=1e-3)
    assert {text.get_text() for text in axes.texts} >= {"untouched", "SFT", "D-OPSD"}


def test_a_question_of_rows_that_are_not_trained_has_no_figure(trainings):
    assert (
        questions.figure(Question(asks="?", rows=("base", "again"), against="base"), trainings, "concept_fidelity")
        is None
    )


def test_differences_are_paired_and_of_plain_means(trainings):
    table = questions.differences({"mine": ASKED}, trainings).set_index("score")
    assert set(table.method) == {"dopsd"} and set(table.baseline) == {"sft"} and set(table.n) == {2}
    units = trainings.last("dopsd").keys()
    for score in ("concept_fidelity", "blur_read"):
        less = [trainings.last("dopsd")[u][score] - trainings.last("sft")[u][score] for u in units]
        assert table.difference[score] == pytest.approx(sum(less) / len(less), abs=1e-6)


def test_its_words_are_its_rows_and_the_claims_of_its_family(cells, trainings):
    record = {"id": "x", "family": "mine", "claim": "it is", "at": "last", "value": 0.5, "low": 0.4, "high": 0.6}
    record |= {"n_units": 2, "by_seed": {"0": 0.5}, "bar": 0.2, "direction": ">=", "p_holm": 0.01, "verdict": "holds"}
    others = record | {"id": "y", "family": "other", "claim": "it is not"}
    less = questions.differences({"mine": ASKED}, trainings)
    (words,) = questions.in_words(
        {"mine": ASKED}, {"question-mine"}, tables.summary(cells, "sft"), less, 4, [record, others], {"x": []}, True
    )
    assert words["less"].startswith("| less SFT") and "| D-OPSD" in words["less"]
    assert words["asks"] == ASKED.asks and words["figure"] == "question-mine"
    body = [line.split("|")[1].strip() for line in words["rows"].splitlines()[2:]]
    assert body == ["D-OPSD", "SFT"] and "base" not in words["rows"]
    assert "it is<br>" in words["claims"] and "it is not" not in words["claims"]
    (bare,) = questions.in_words(
        {"none": ASKED}, set(), tables.summary(cells, "sft"), less, 4, [record], {"x": []}, True
    )
    assert bare["figure"] == "" and bare["claims"] == ""
