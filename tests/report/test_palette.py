"""Colours of rows: a family's, told apart by every eye, the same in every study."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from dopsd import objectives
from dopsd.report import names, palette
from dopsd.study import grid

EYES = {  # linear RGB as it is seen without one kind of cones (Machado et al. 2009, severity 1)
    "all": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
WHITE = np.array([0.95047, 1.0, 1.08883])


def lab(colour, eye):
    """CIELAB of a colour as an eye sees it: (3,)."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    x, y, z = np.cbrt((np.array(TO_XYZ) @ (np.array(EYES[eye]) @ linear).clip(0, 1)) / WHITE)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eye", EYES)
def test_families_are_told_apart_by_every_eye(eye):
    colours = [family.colour for family in palette.FAMILIES.values()]
    apart = {pair: np.linalg.norm(lab(pair[0], eye) - lab(pair[1], eye)) for pair in combinations(colours, 2)}
    assert min(apart.values()) > 20, apart  # a difference of 2.3 is just seen


def test_every_method_is_of_one_family_and_every_row_has_its_colour(full, called):
    kinds = [kind for family in palette.FAMILIES.values() for kind in family.kinds]
    assert sorted(kinds) == objectives.names() and sorted(palette.REFERENCES) == sorted(names.REFERENCES)
    assert palette.colour("sft_equal") == palette.colour("sft") != palette.colour("dopsd")
    assert palette.colour("dopsd_wrong") == palette.colour("off_policy") == palette.FAMILIES["self-distilled"].colour
    assert palette.colour("untouched") not in {palette.colour(m) for m in full.grid.trained}
    assert palette.colour("nobody") == palette.OTHER and palette.family("nobody") == ""


def test_a_row_has_one_colour_in_all_studies(full, study):
    with names.called_as_in(grid.methods(full)):
        colours = {row: palette.colour(row) for row in full.grid.methods}
    for trained in (("sft", "dopsd"), ("sft", "sft_states", "dopsd_wrong"), ("sft_equal",)):
        with names.called_as_in(grid.methods(study(trained=trained))):
            assert {row: palette.colour(row) for row in trained} == {row: colours[row] for row in trained}


def test_rows_that_share_a_panel_differ_and_the_first_of_a_family_keeps_its_colour(called):
    found = palette.looks(["off_policy", "dopsd", "sft", "untouched"])
    assert found["dopsd"]["color"] == palette.colour("dopsd") and found["sft"]["color"] == palette.colour("sft")
    assert len({look["color"] for look in found.values()}) == 4
    assert len({found[row]["marker"] for row in ("off_policy", "dopsd", "sft")}) == 3
    rising = palette.looks(["sft", "sft_equal", "sft_states", "sft_teacher"])
    light = [lab(look["color"], "all")[0] for look in rising.values()]
    assert light == sorted(light) and len(set(light)) == 4


def test_the_key_names_the_families_of_a_study_alone():
    assert palette.key(["untouched", "sft", "dopsd"]) == "Orange: supervised; blue: self-distilled; grey: not trained"
    assert palette.shade("#808080", 0) == "#808080" and palette.shade("#808080", 1) == "#ffffff"
    assert palette.shade("#808080", -1) == "#000000"
