import pandas as pd
import pytest
from made_up import BINDING, KEPT, QUALITY, SCENES

from dopsd.report import names, tables

KINDS = {"beacon": "object", "fresco": "style"}


def test_comparison_has_one_row_a_cell_step_and_nfe(cells):
    table = tables.comparison(cells, KINDS, 4)
    assert list(table)[:6] == tables.WHO and set(tables.scores_of(table)) == {*SCENES, *KEPT, *QUALITY, *BINDING}
    assert not table.duplicated(["method", "concept", "seed", "step", "nfe"]).any()
    assert set(table[table.method.isin(["untouched", "described"])].step) == {0}
    sft = table[(table.method == "sft") & (table.concept == "beacon") & (table.seed == 0)]
    assert list(zip(sft.step, sft.nfe, strict=True)) == [(20, 4), (40, 1), (40, 4), (40, 32)]
    assert sft.concept_fidelity.notna().tolist() == [True, False, True, False]
    assert sft.retention_frechet.notna().all()
    assert set(table[table.concept == "fresco"].kind) == {"style"}


def test_summary_takes_the_last_step_and_pairs_cells_with_sft(cells):
    table = tables.summary(cells, "sft").set_index(["score", "method"])
    assert table.loc[("concept_fidelity", "sft"), "value"] == pytest.approx(0.5 + 0.05 + 0.04)
    dopsd = table.loc[("concept_fidelity", "dopsd")]
    assert dopsd.n == 2  # concepts, each the mean of its seeds: here equal
    assert dopsd.high - dopsd.low == pytest.approx(0, abs=1e-9)
    assert dopsd.difference == pytest.approx(0.2)
    assert dopsd.difference_high - dopsd.difference_low == pytest.approx(0, abs=1e-9)
    assert pd.isna(table.loc[("concept_fidelity", "sft"), "difference"])


def test_summary_leaves_out_what_not_every_cell_has(cells):
    scores = set(tables.summary(cells, "sft").score)
    assert "retention_frechet@4" in scores and "retention_frechet@32" in scores
    assert "retention_frechet@1" not in scores


def test_summary_markdown_shows_means_and_signed_differences(cells):
    table = tables.summary(cells, "sft")
    text = tables.summary_markdown(table, names.labels(dict.fromkeys(table.score), 4, 32), "sft")
    means, differences = text.strip().split("\n\n")
    assert "0.590 [" in means
    assert "+0.200 [+0.200, +0.200]" in differences and "-0.4" in differences
    assert "| sft" in means.splitlines()[0] and "| sft" not in differences.splitlines()[0]


def at_last(**scores):
    """Cells of two concepts with two seeds, from {score: {method: {(concept, seed): value}}}."""
    out = {}
    for name, by in scores.items():
        for method, values in by.items():
            for (concept, seed), value in values.items():
                out.setdefault((method, concept, seed), {0: {}})[0][name] = value
    return out


EVERY = {("beacon", 0): 0.2, ("beacon", 1): 0.4, ("fresco", 0): 0.6, ("fresco", 1): 0.8}
OBJECT = {unit: v for unit, v in EVERY.items() if unit[0] == "beacon"}
FIRST = {unit: v for unit, v in EVERY.items() if unit[1] == 0}


def test_a_method_shows_what_all_seeds_of_a_concept_have():
    cells = at_last(
        gain={"sft": EVERY, "dopsd": EVERY, "teacher": OBJECT},
        kept_by_few={"sft": FIRST, "dopsd": EVERY},
        own={"sft": OBJECT, "dopsd": OBJECT},
    )
    table = tables.summary(cells, "sft").set_index(["score", "method"])
    assert dict(table.n) == {
        ("gain", "sft"): 2,
        ("gain", "dopsd"): 2,
        ("gain", "teacher"): 1,
        ("kept_by_few", "dopsd"): 2,  # sft has it on the first seed alone
        ("own", "sft"): 1,
        ("own", "dopsd"): 1,
    }
    assert table.loc[("gain", "teacher"), "value"] == pytest.approx(0.3)
    assert table.loc[("gain", "teacher"), "difference"] == 0.0  # over beacon, which both have
    assert pd.isna(table.loc[("kept_by_few", "dopsd"), "difference"])
    text = tables.summary_markdown(table.reset_index(), {"gain": "gain", "kept_by_few": "few", "own": "own"}, "sft")
    means, differences = (part.splitlines() for part in text.strip().split("\n\n"))
    assert [cell.strip() for cell in means[3].split("|")[1:-1]] == ["few", "", "0.500 [-2.041, 3.041]", ""]
    assert len(differences) == 4 and "few" not in "".join(differences) and "nan" not in text


def test_means_are_taken_on_the_scores_scale():
    ratio = {("beacon", 0): 0.5, ("fresco", 0): 2.0}
    share = {("beacon", 0): 0.25, ("fresco", 0): 0.75}
    cells = at_last(few_step_contrast={"sft": ratio}, adherence={"sft": share}, blur_read={"sft": ratio})
    table = tables.summary(cells, "sft").set_index("score")
    assert table.loc["few_step_contrast", "value"] == pytest.approx(1.0)  # the geometric mean
    assert table.loc["blur_read", "value"] == pytest.approx(1.25)
    assert tuple(table.loc["adherence", ["value", "low", "high"]]) == pytest.approx((0.5, 0.0, 1.0))
    other = at_last(few_step_contrast={"sft": ratio, "dopsd": dict.fromkeys(ratio, 1.0)})
    less = tables.summary(other, "sft").set_index("method").loc["dopsd"]
    assert less.difference == pytest.approx(1.0 - 1.25)  # differences are as they are


def test_a_score_without_a_place_on_its_scale_is_left_out_and_said():
    cells = at_last(retention_blur_read={"sft": {("beacon", 0): 0.0}, "dopsd": {("beacon", 0): 1.0}})
    cells |= at_last(contrast={"untouched": {("beacon", 0): 1.0}})
    table, without = tables.summary(cells, "sft"), tables.left_out(cells)
    assert set(table.score) == {"contrast"} and list(without) == ["retention_blur_read"]
    text = tables.summary_markdown(table, {"contrast": "contrast"}, "sft", without)
    assert "Left out: retention_blur_read (sft: a ratio of 0 has no place on the scale of ratios)." in text


def test_a_row_a_concept_has_the_mean_of_its_seeds():
    cells = at_last(adherence={"sft": EVERY, "dopsd": OBJECT}, smell={"sft": EVERY}) | {
        ("again", "beacon", 0): {0: {"leakage@4": 0.3, "leakage@32": 0.9}}
    }
    table = tables.concepts(cells, KINDS, 4).set_index(["method", "concept"])
    assert list(table) == ["kind", "adherence", "leakage"]
    assert table.loc[("sft", "beacon"), "adherence"] == pytest.approx(0.3)
    assert table.loc[("sft", "fresco"), "kind"] == "style" and table.loc[("again", "beacon"), "leakage"] == 0.3
    assert len(table) == 4


def test_trajectory_is_the_mean_over_cells_at_every_step(cells):
    table = tables.trajectory(tables.comparison(cells, KINDS, 4), 4).set_index(["method", "step"])
    assert list(table.loc["sft"].index) == [20, 40]
    assert table.loc[("sft", 20), "concept_fidelity"] == pytest.approx(0.5 + 0.05 + 0.02)


def test_losses_leave_the_times_out(repository):
    grid = repository.grid
    table = tables.losses(grid.trained, grid.concepts, grid.seeds)
    assert list(table) == ["method", "concept", "seed", "step", "loss", "lr", "grad_norm"]
    assert len(table) == 2 * 2 * 2 * 5
