"""The page's tables of hand-made cells."""

from pathlib import Path

import pandas as pd
import pytest

from dopsd import objectives
from dopsd.config.params import load
from dopsd.report import names, pairs, sections, tables
from dopsd.report.along import Trainings
from dopsd.study import grid

FORWARDS = {"sft": 3, "dopsd": 16, "off_policy": 16}


def rows_of(text):
    """{first cell: {title: text}} of a Markdown table."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.strip().splitlines()]
    return {line[0]: dict(zip(lines[0][1:], line[1:], strict=True)) for line in lines[2:]}


def paired(cells, trained=("sft", "dopsd")):
    return pairs.pairs(Trainings(cells, trained, "concept_fidelity", 4, FORWARDS), ["sft"])


def number(value):
    return {"value": value, "low": value, "high": value, "n": 2}


def test_the_summary_has_a_row_a_method_and_the_main_scores(cells):
    found = rows_of(sections.summary(tables.summary(cells, "sft"), ["untouched", "sft", "dopsd"], 4))
    assert list(found) == ["Untouched", "SFT", "D-OPSD"]
    assert found["SFT"]["concept fidelity"] == "0.590 [0.590, 0.590]" and "diversity" not in found["SFT"]
    assert found["SFT"]["leakage"] == "0.554 [0.554, 0.554]"  # in 4 steps: .5 + .004, .6 + .004


def test_a_study_that_reads_no_attribute_shows_all_its_scores():
    names = ["dino_distance", "quality_kid@8", "retention_kid@8"]
    assert sections.shown(names, 8) == {"dino_distance": "dino distance", "retention_kid@8": "retention kid@8"}
    assert list(sections.shown(["contrast", "concept_fidelity", "leakage@4"], 4)) == [
        "concept_fidelity",
        "contrast",
        "leakage@4",
    ]


def test_where_no_attribute_is_read_every_pair_shows_all_its_scores():
    found = sections.along(["step", "dino_distance", "quality_kid", "matched_fidelity", "dino_distance"])
    assert found == {"dino_distance": "dino distance"}
    assert list(sections.along(["contrast", "smell", "concept_fidelity"])) == ["concept_fidelity", "contrast"]


def test_two_methods_at_equal_fidelity_have_a_row_a_score(cells):
    found = rows_of(sections.side_by_side(paired(cells), "dopsd", "sft", 4, 32))
    assert found["optimiser steps"]["SFT"] == "40.0 [40.0, 40.0]" and found["optimiser steps"]["difference"].startswith(
        "-25."
    )
    assert found["gap growth, pixels of blur (0 = untouched)"]["SFT"] == "0.400 [0.400, 0.400]"
    assert not any("diversity" in name or "thing" in name for name in found)
    assert sections.side_by_side(paired(cells), "sft", "dopsd", 4, 32) == ""


def test_every_trained_method_is_held_against_the_baseline_at_each_place(cells):
    more = {("off_policy", concept, seed): steps for (m, concept, seed), steps in cells.items() if m == "sft"}
    found = sections.differences(paired(cells | more, ("sft", "off_policy", "dopsd")), "sft")
    assert list(found) == list(sections.PLACES.values())
    steps = rows_of(found["equal optimiser steps"])
    assert list(steps) == ["Off-policy", "D-OPSD"]
    assert (
        steps["D-OPSD"]["contrast"] == "+0.200 [+0.200, +0.200]" and steps["D-OPSD"]["steps (SFT's)"] == "40.0 (40.0)"
    )
    assert rows_of(found["equal forwards"])["D-OPSD"]["steps (SFT's)"] == "7.5 (40.0)"
    assert "binding" not in steps["D-OPSD"]


def test_costs_are_over_the_baselines(full, called):
    rates = {"sft": number(3e-4), "dopsd": {"value": 1e-3, "low": None, "high": None, "n": 1}}
    table = sections.costs(full, grid.methods(full), rates).set_index("method")
    assert table.loc["sft_equal", ["steps", "forwards"]].tolist() == [213, 639]
    assert table.loc["dopsd", "forwards_a_step_over"] == pytest.approx(16 / 3)
    assert table.loc["sft_states", "forwards_a_step"] == 12 and table.loc["sft", "forwards_over"] == 1
    found = rows_of(sections.costs_markdown(table.reset_index(), "sft"))
    assert found["D-OPSD"] == {
        "optimiser steps": "40",
        "forwards of a step (over SFT's)": "16 (5.33)",
        "of a training (over SFT's)": "640 (5.33)",
        "learning rate": "0.001 (given)",
    }
    assert found["SFT"]["learning rate"] == "0.0003" and found["SFT, equal FLOPs"]["learning rate"] == ""


def test_costs_without_the_baseline_are_not_over_it(study):
    params = study(trained=("dopsd",))
    found = rows_of(sections.costs_markdown(sections.costs(params, grid.methods(params), {}), "sft"))
    assert found["D-OPSD"]["of a training (over SFT's)"] == "640"


def test_one_at_a_time_says_what_each_method_is(full, called, cells):
    summary = tables.summary(cells, "sft")
    found = rows_of(sections.one_at_a_time(summary, full, grid.methods(full), 4))
    what = {name: row["what it is"] for name, row in found.items()}
    assert list(found) == [
        *("SFT", "D-OPSD", "D-OPSD, wrong picture"),
        *("SFT, equal FLOPs", "SFT, 4 noised states", "SFT, teacher's samples", "Off-policy"),
        *("Base LoRA", "DreamBooth", "PSO", "Anchored SFT", "Output preservation"),
        *("De-distillation adapter", "Repair LoRA"),
    ]
    assert what["SFT"] == "supervised fine-tuning (flow matching)"
    assert what["SFT, equal FLOPs"] == "as SFT, but 213 steps"
    assert what["SFT, 4 noised states"] == "as SFT, but states 4"
    assert what["D-OPSD, wrong picture"] == "as D-OPSD, but shown another"
    assert found["D-OPSD"]["contrast"] == "0.790 [0.790, 0.790]" and found["Off-policy"]["contrast"] == ""


def test_openness_has_a_column_a_score_and_openness():
    columns = ["method", "said", "score", "value", "low", "high"]
    rows = [("sft", 0.15, "blur_read", 0.8, 0.7, 0.9), ("sft", 1.0, "blur_read", 0.2, 0.1, 0.3)]
    rows += [("base", 1.0, "contrast", 0.6, 0.6, 0.6), ("sft", 1.0, "leakage", 0.6, 0.6, 0.6)]
    assert rows_of(sections.openness(pd.DataFrame(rows, columns=columns))) == {
        "SFT": {
            "blur, pixels, said 0.15": "0.800 [0.700, 0.900]",
            "blur, pixels, said 1": "0.200 [0.100, 0.300]",
            "contrast, said 1": "",
        },
        "Base, undistilled": {
            "blur, pixels, said 0.15": "",
            "blur, pixels, said 1": "",
            "contrast, said 1": "0.600 [0.600, 0.600]",
        },
    }


def test_each_concept_has_a_row_and_what_a_method_lacks_is_blank(cells):
    del cells["described", "fresco", 0], cells["described", "fresco", 1]
    found = sections.concepts(tables.concepts(cells, {"beacon": "object", "fresco": "style"}, 4))
    assert list(found) == ["concept fidelity", "blur, pixels", "contrast", "KID to untouched"]
    fidelity = rows_of(found["concept fidelity"])
    assert fidelity["beacon (object)"]["SFT"] == "0.590" and fidelity["fresco (style)"]["Untouched, described"] == ""


def test_an_entry_is_told_by_all_that_it_has_otherwise(monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2] / "studies/questions")
    params = load()
    with names.called_as_in(grid.methods(params)):
        told = {
            m: sections.says(m, method, params.methods[m], params.train.steps)
            for m, method in grid.methods(params).items()
        }
    assert told["rank_64"] == "as D-OPSD, but lora rank 64, lora alpha 128"
    assert (
        told["k1"] == "as D-OPSD, but rollout steps 1" and told["live"] == "as EMA .9999, but teacher live, 160 steps"
    )
    assert told["dopsd"] == objectives.objective("dopsd").SAYS
