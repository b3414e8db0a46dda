import pytest

from dopsd import objectives
from dopsd.report import names
from dopsd.study import grid


def test_rows_are_called_as_the_study_calls_them(full, called):
    assert names.label("sft_equal") == "SFT, equal FLOPs" and names.label("dopsd_wrong") == "D-OPSD, wrong picture"
    assert names.label("sft") == "SFT" and names.label("again") == "Untouched, other noise"


def test_outside_of_a_study_an_entry_has_its_name_alone(full):
    assert names.label("sft_equal") == "sft_equal" and names.colour("sft_equal") is None
    with names.called_as_in(grid.methods(full)):
        assert names.colour("sft_equal")
    assert names.colour("sft_equal") is None


def test_every_row_has_a_colour_of_its_own(full, called):
    colours = [names.colour(row) for row in full.grid.methods]
    assert None not in colours and len(set(colours)) == len(colours) == 19
    known = names.COLOURS.values()
    assert len({c for cycle in names.SHADES.values() for c in cycle} | set(known)) == 4 * len(names.SHADES) + len(known)
    assert sorted(names.SHADES) == objectives.names()


def test_a_row_has_one_colour_in_all_studies(full, study):
    with names.called_as_in(grid.methods(full)):
        colours = {row: names.colour(row) for row in full.grid.methods}
    for trained in (("sft", "dopsd"), ("sft", "sft_states", "dopsd_wrong"), ("sft_equal",)):
        with names.called_as_in(grid.methods(study(trained=trained))):
            assert {row: names.colour(row) for row in trained} == {row: colours[row] for row in trained}
    assert names.colour("dopsd") == colours["dopsd"]  # and where none is named


@pytest.mark.parametrize("extra", [("mine",), ("mine", "yours"), tuple("abc")])
def test_entries_that_pick_one_shade_share_none(full, extra):
    like = {name: {"like": "sft", "label": name} for name in extra}
    params = full.model_copy(
        update={"methods": full.methods | like, "grid": full.grid.model_copy(update={"trained": ("sft", *extra)})}
    )
    with names.called_as_in(grid.methods(params)):
        assert len({names.colour(row) for row in ("sft", *extra)}) == 1 + len(extra)


def test_attributes_of_the_concept_stay_out_of_the_summary():
    assert list(names.labels(["guided_own_shape", "own_shape", "blur_read"], 4, 16)) == ["blur_read"]
