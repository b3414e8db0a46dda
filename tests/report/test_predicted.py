"""Teacher and student of made-up cells."""

import pytest
from made_up import cells_of

from dopsd.report import predicted
from dopsd.report.along import Trainings

KINDS = {"a": "object", "b": "object", "c": "object", "d": "object", "e": "style"}
TEACHER = dict(zip(KINDS, (0.9, 0.8, 0.6, 0.5, 0.2), strict=True))
TUNED = dict(zip(KINDS, (0.8, 0.7, 0.65, 0.4, 0.1), strict=True))


def row(fidelity, shape):
    return {"concept_fidelity": fidelity} | ({"own_shape": shape} if shape is not None else {})


def trainings(own=True):
    """Five concepts, two seeds that lie around the mean; a shape that only the objects have."""
    cells = {}
    for c in KINDS:
        shape = own and KINDS[c] == "object"
        for seed, more in ((0, 0.05), (1, -0.05)):
            cells["untouched", c, seed] = {0: row(0.1, 0.0 if shape else None)}
            cells["teacher", c, seed] = {0: row(TEACHER[c] + more, 0.5 if shape else None)}
            cells["dopsd", c, seed] = {20: row(0.0, None), 40: row(TUNED[c] + more, 0.75 if shape else None)}
            cells["sft", c, seed] = {40: row(1 - TEACHER[c], 0.0 if shape else None)}
    return Trainings(cells, ["dopsd", "sft"], "concept_fidelity", 4, {"dopsd": 16, "sft": 3})


@pytest.fixture
def found():
    return predicted.table(trainings(), ["dopsd", "sft"], KINDS, "concept_fidelity")


def test_only_a_study_that_has_the_row_asks_its_teacher():
    assert predicted.asked(["untouched", "teacher"], ["sft", "dopsd"], ("dopsd", "sft")) == ["dopsd", "sft"]
    assert predicted.asked(["untouched", "teacher"], ["dopsd"], ("dopsd", "sft")) == ["dopsd"]
    assert predicted.asked(["untouched", "described"], ["sft", "dopsd"], ("dopsd", "sft")) == []


def test_the_table_holds_seeds_averaged_gains_at_the_last_step(found):
    assert list(found) == predicted.COLUMNS and len(found) == 2 * (5 + 4)
    mine = found.set_index(["method", "concept", "attribute"]).loc[("dopsd", "b", "all")]
    assert (mine.teacher, mine.tuned) == (pytest.approx(0.8), pytest.approx(0.7))
    assert (mine.teacher_gain, mine.gain) == (pytest.approx(0.7), pytest.approx(0.6))
    assert set(found.loc[found.attribute == "shape"].concept) == {"a", "b", "c", "d"}


def test_the_sentences_say_how_well_it_tells_and_who_ends_above(found):
    learns, above, other, _ = predicted.in_words(found)
    assert "over 5 concepts: 1.000; over the 4 objects alone: 1.000." in learns  # one order: no interval
    assert above == "D-OPSD ends above the teacher's fidelity in 1 of 5 concepts: c (0.65, teacher 0.60)."
    assert "over 5 concepts: -1.000" in other
    few = found.loc[found.concept.isin(["a", "b"])]
    assert "none, of 2 concepts (4 that differ are needed)." in predicted.in_words(few)[0]


def test_attributes_stand_with_their_concepts_alone(found):
    rows = {
        line.split("|")[1].strip(): [c.strip() for c in line.split("|")[2:-1]]
        for line in predicted.by_attribute(found).splitlines()[2:]
    }
    assert rows["all"][:5] == ["5", "0.100", "0.600", "0.530", "1"]
    assert rows["shape"] == ["4", "0.000", "0.500", "0.750", "4", ""]  # all equal: no order


def test_the_figure_has_a_panel_of_attributes_where_they_are_read(found):
    figure = predicted.figure(found)
    gains, attributes = figure.axes
    dots = gains.get_lines()[0]
    assert list(dots.get_xdata()) == pytest.approx([TEACHER[c] - 0.1 for c in KINDS])
    assert sorted(t.get_text() for t in gains.texts) == list(KINDS)
    assert attributes.get_lines()[0].get_label() == "shape"
    plain = predicted.table(trainings(own=False), ["dopsd"], KINDS, "concept_fidelity")
    assert len(predicted.figure(plain).axes) == 1
    assert predicted.figure(plain.iloc[:0]) is None


def test_made_up_cells_without_a_teacher_have_no_rows():
    cells = cells_of()
    without = Trainings(cells, ["sft", "dopsd"], "concept_fidelity", 4, {"sft": 3, "dopsd": 16})
    kinds = dict.fromkeys(("beacon", "fresco"), "object")
    assert predicted.table(without, ["dopsd"], kinds, "concept_fidelity").empty
