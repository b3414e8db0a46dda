import pandas as pd
import pytest
from made_up import BINDING, KEPT, QUALITY, SCENES, TRAINED

from dopsd.report import names, tables

KINDS = {"beacon": "object", "fresco": "style"}
FIDELITY = "concept_fidelity"


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


def test_trajectory_is_the_mean_over_cells_at_every_step(cells):
    table = tables.trajectory(tables.comparison(cells, KINDS, 4), 4).set_index(["method", "step"])
    assert list(table.loc["sft"].index) == [20, 40]
    assert table.loc[("sft", 20), "concept_fidelity"] == pytest.approx(0.5 + 0.05 + 0.02)


def test_matched_takes_the_first_checkpoint_that_reaches_what_both_reach(cells):
    table = tables.matched(cells, TRAINED, "sft", FIDELITY, 4).set_index("score")
    # sft reaches .5 + .04 (+ .1 for seed 1) at its last step; dopsd is above that at its first
    assert table.loc["step", "value"] == 20 and table.loc["step", "against"] == 40
    assert table.loc["concept_fidelity", "against"] == pytest.approx(0.59)
    assert table.loc["contrast", "difference"] == pytest.approx(0.2 - 0.02)
    assert set(table.method) == {"dopsd"} and table.loc["leakage", "n"] == 2
    text = tables.matched_markdown(table.reset_index(), {"contrast": "how sharp"}, "sft")
    assert "| how sharp | dopsd" in text and "+0.180 [+0.180, +0.180]" in text
    with pytest.raises(ValueError, match="no checkpoint reaches"):
        tables.first_reaching([{FIDELITY: 0.9}], FIDELITY, 0.99)


def test_matched_sets_each_checkpoint_beside_the_untouched_model(cells):
    table = tables.matched(cells, TRAINED, "sft", FIDELITY, 4).set_index("score")
    # untouched: .1 (+ .1 for seed 1); dopsd .6 more and .02 for its step; sft .4 more and .04
    assert table.loc["fidelity_gain", "value"] == pytest.approx(0.62)
    assert table.loc["fidelity_gain", "against"] == pytest.approx(0.44)
    assert table.loc["contrast_kept", "value"] == pytest.approx((0.72 / 0.1 + 0.82 / 0.2) / 2)
    assert table.loc["gap_growth_blur", "against"] == pytest.approx(0.4)
    assert table.loc["gap_growth_contrast", "against"] == pytest.approx((0.1 / 0.5 + 0.2 / 0.6) / 2)
    assert table.loc["contrast_kept", "low"] == table.loc["contrast_kept", "value"]  # concepts are equal here


def test_losses_leave_the_times_out(repository):
    grid = repository.grid
    table = tables.losses(grid.trained, grid.concepts, grid.seeds)
    assert list(table) == ["method", "concept", "seed", "step", "loss", "lr", "grad_norm"]
    assert len(table) == 2 * 2 * 2 * 5
