from dopsd.report import names
from dopsd.study import grid


def test_rows_are_called_as_the_study_calls_them(full, called):
    assert names.label("sft_equal") == "SFT, equal FLOPs" and names.label("dopsd_wrong") == "D-OPSD, wrong picture"
    assert names.label("sft") == "SFT" and names.label("again") == "Untouched, other noise"


def test_outside_of_a_study_an_entry_has_its_name_alone(full):
    assert names.label("sft_equal") == names.kind("sft_equal") == "sft_equal"
    with names.called_as_in(grid.methods(full)):
        assert names.kind("sft_equal") == "sft"
    assert names.kind("sft_equal") == "sft_equal"


def test_at_the_end_of_a_line_references_are_called_in_a_word_or_two(called):
    assert [names.short(row) for row in names.REFERENCES] == [
        "untouched",
        "other noise",
        "described",
        "teacher",
        "base",
    ]
    assert names.short("sft_equal") == names.label("sft_equal")


def test_attributes_of_the_concept_stay_out_of_the_summary():
    assert list(names.labels(["guided_own_shape", "own_shape", "blur_read"], 4, 16)) == ["blur_read"]
