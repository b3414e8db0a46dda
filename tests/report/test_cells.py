"""From the long table to a flat row a checkpoint."""

import pandas as pd
import pytest

from dopsd.report import cells

MAIN = float("nan")


def rows(method, step, kind, nfe, said=MAIN, **scores):
    """Two pictures of a prompt each, whose values lie around the mean."""
    out = []
    for score, mean in scores.items():
        whole = score.endswith("frechet")
        values = [("", mean), ("", mean + 5)] if whole else [("p0", mean - 0.1), ("p1", mean + 0.1)]
        for i, (prompt, value) in enumerate(values):
            group = ("without 0" if i else "") if whole else prompt
            who = {
                "method": method,
                "concept": "beacon",
                "seed": 0,
                "step": step,
                "nfe": nfe,
                "guidance": 0.0,
                "said": said,
            }
            out.append(who | {"kind": kind, "prompt": prompt, "group": group, "score": score, "value": value})
    return out


@pytest.fixture
def table():
    both = {"blur_read": 0.1, "adherence": 0.8, "sharpness": 0.4, "sharpness_renders": 0.5, "leakage": 0.2}
    worse = both | {"adherence": 0.4, "sharpness": 0.2, "blur_read": 0.5}
    table = [
        *rows("untouched", 0, "ordinary", 4, **both, retention_frechet=0.0, quality_frechet=4.0),
        *rows("untouched", 0, "ordinary", 16, **both, retention_frechet=0.0, quality_frechet=2.0),
        *rows("sft", 10, "new", 4, concept_fidelity=0.6, sharpness=0.3, sharpness_renders=0.6, copying=0.5),
        *rows("sft", 10, "nameless", 4, concept_fidelity=0.5),
        *rows("sft", 10, "other", 4, concept_fidelity=0.55),
        *rows("sft", 10, "rewrite", 4, dino_distance=0.7, copying=0.9),
        *rows("sft", 10, "ordinary", 4, **worse, retention_frechet=3.0, quality_frechet=6.0),
        *rows("sft", 10, "ordinary", 16, **both, retention_frechet=1.0, quality_frechet=2.0),
    ]
    table += [
        *rows("sft", 10, "new", 16, blur_read=0.2, contrast=0.8, sharpness=0.6, sharpness_renders=0.6),
        *rows("sft", 10, "new", 4, blur_read=0.5, contrast=0.6, own_shape=0.9, own_colour=0.3),
        *rows("untouched", 0, "ordinary", 4, 0.5, leakage=0.1, adherence=0.5, retention_kid=0.0),
        *rows("sft", 10, "ordinary", 4, 0.5, leakage=0.3, adherence=0.4, retention_kid=2.0),
        *rows("sft", 10, "new", 4, 0.5, concept_fidelity=0.7),
    ]
    return pd.DataFrame(table)


@pytest.fixture
def flat(table):
    return cells.flat(table, 4, 16)


def test_new_pictures_are_averaged_and_sharpness_is_over_the_renders(flat):
    row = flat["sft", "beacon", 0][10]
    assert row["concept_fidelity"] == 0.6 and row["sharpness"] == 0.5 and "sharpness_renders" not in row
    assert row["copying"] == 0.5 and row["copying (rewritten)"] == 0.9 and row["dino_distance"] == 0.7


def test_ordinary_prompts_are_set_beside_the_untouched_models(flat):
    row = flat["sft", "beacon", 0][10]
    assert row["retention_adherence@4"] == 0.5 and row["retention_sharpness@4"] == 0.5
    assert row["retention_frechet@4"] == 3.0 and row["leakage@4"] == 0.2  # of the whole set; as it is
    assert row["quality_adherence@4"] == 0.4 and row["quality_sharpness@4"] == 0.4 and row["quality_frechet@16"] == 2.0
    assert flat["untouched", "beacon", 0][0]["retention_adherence@16"] == 1.0


def test_the_gap_is_few_steps_over_many(flat):
    row = flat["sft", "beacon", 0][10]
    assert row["few_step_sharpness"] == 0.5 and flat["untouched", "beacon", 0][0]["few_step_sharpness"] == 1.0
    assert row["few_step_blur_read"] == pytest.approx(0.4)  # pixels, so a difference
    assert flat["untouched", "beacon", 0][0]["few_step_blur_read"] == 0.0


def test_binding_is_what_the_name_adds(flat):
    row = flat["sft", "beacon", 0][10]
    assert row["nameless_fidelity"] == 0.5 and row["other_fidelity"] == 0.55 and row["binding"] == pytest.approx(0.1)


def test_a_row_at_one_nfe_has_plain_names(flat):
    row = cells.at(flat["sft", "beacon", 0][10], 16)
    assert row["retention_frechet"] == 1.0 and "retention_frechet@4" not in row and row["concept_fidelity"] == 0.6


def test_new_scenes_in_many_guided_steps_have_names_of_their_own(flat):
    row = flat["sft", "beacon", 0][10]
    assert row["guided_blur_read"] == 0.2 and row["guided_sharpness"] == 1.0 and row["sharpness"] == 0.5
    assert row["new_gap_blur"] == pytest.approx(0.3) and row["new_gap_contrast"] == pytest.approx(0.75)
    assert row["own_shape"] == 0.9 and row["own_colour"] == 0.3
    assert "new_gap_blur" not in flat["untouched", "beacon", 0][0]


def test_nearness_has_a_gap_of_many_guided_steps_less_few():
    who = {"method": "sft", "concept": "dusk", "seed": 0, "step": 10, "kind": "new", "prompt": "", "group": ""}
    rows = [{"nfe": n, "score": "domain_nearness", "value": v, "said": float("nan")} for n, v in ((4, 0.5), (16, 0.9))]
    row = cells.flat(pd.DataFrame([who | r for r in rows]), 4, 16)["sft", "dusk", 0][10]
    assert row == {"domain_nearness": 0.5, "guided_domain_nearness": 0.9, "new_gap_nearness": 0.4}


def test_another_openness_stands_in_the_main_ones_place(flat, table):
    row = cells.flat(cells.at_said(table, 0.5), 4, 16)["sft", "beacon", 0][10]
    assert row == {"concept_fidelity": 0.7, "leakage@4": 0.3, "retention_kid@4": 2.0, "retention_adherence@4": 0.8} | {
        "quality_adherence@4": 0.4
    }  # and nothing that was drawn at the main one only
    assert flat["sft", "beacon", 0][10]["concept_fidelity"] == 0.6
    assert cells.flat(cells.at_said(table, 1.0), 4, 16) == {}


def test_what_is_nowhere_a_number_is_no_score(table):
    nothing = table.score == "copying"
    table.loc[nothing, "value"] = float("nan")
    row = cells.flat(table, 4, 16)["sft", "beacon", 0][10]
    assert not any("copying" in name for name in row) and row["dino_distance"] == 0.7
