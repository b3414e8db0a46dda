import math

import pytest

from dopsd.report.scales import misfit, scale
from dopsd.report.units import by_seed, over_concepts, whole


@pytest.mark.parametrize(
    ("name", "on"),
    [
        ("concept_fidelity", "share"),
        ("nameless_fidelity", "share"),
        ("matched_fidelity", "share"),
        ("guided_concept_fidelity", "share"),
        ("adherence", "share"),
        ("quality_adherence@4", "share"),
        ("said_0.5_adherence", "share"),
        ("said_1_leakage@4", "share"),
        ("leakage_open@16", "share"),
        ("own_shape", "share"),
        ("style", "share"),
        ("retention_adherence@4", "ratio"),
        ("retention_blur_read", "ratio"),
        ("contrast_kept", "ratio"),
        ("few_step_steepness", "ratio"),
        ("gap_growth_contrast", "ratio"),
        ("new_gap_contrast", "ratio"),
        ("retention_kid@4", "plain"),
        ("said_0.5_retention_kid", "plain"),
        ("retention_frechet", "plain"),
        ("quality_frechet@4", "plain"),
        ("few_step_blur_read", "plain"),
        ("gap_growth_blur", "plain"),
        ("new_gap_blur", "plain"),
        ("blur_added", "plain"),
        ("fidelity_gain", "plain"),
        ("binding", "plain"),
        ("contrast", "plain"),
        ("step", "plain"),
        ("dino_distance", "plain"),
    ],
)
def test_every_score_has_its_scale(name, on):
    assert scale(name) == on


def test_what_has_no_place_on_a_scale_is_told():
    assert misfit([0.5, 0.0], "ratio") == "a ratio of 0 has no place on the scale of ratios"
    assert "share of 1.2" in misfit([0.5, 1.2], "share")
    assert misfit([0.0, 1.0], "share") == misfit([0.1, 9.0], "ratio") == misfit([-3.0], "plain") == ""


VALUES = {("beacon", 0): 1.0, ("beacon", 1): 3.0, ("fresco", 0): 8.0, ("fresco", 1): 8.0}


def test_concepts_are_the_units_and_seeds_are_told_apart():
    assert over_concepts(VALUES)["value"] == 5.0 and over_concepts(VALUES)["n"] == 2
    assert over_concepts(VALUES, "ratio")["value"] == pytest.approx(4.0)  # of 2 and 8
    assert by_seed(VALUES) == {0: 4.5, 1: 5.5}
    assert by_seed(VALUES, "ratio") == pytest.approx({0: math.sqrt(8), 1: math.sqrt(24)})


def test_a_concept_counts_with_all_its_seeds_or_not_at_all():
    beacon = {unit: v for unit, v in VALUES.items() if unit[0] == "beacon"}
    assert whole(VALUES, VALUES) == VALUES and whole(beacon, VALUES) == beacon
    assert whole(beacon | {("fresco", 0): 1.0}, VALUES) == {} == whole({}, VALUES)
