from pathlib import Path

import pandas as pd
import pytest
from made_up import cells_of

from dopsd.config import claims as asked_of
from dopsd.config.claims import Claim
from dopsd.config.study import Compared
from dopsd.report import claims, names, page, tables

ROOT = Path(__file__).parents[2]
COMPARE = Compared(method="dopsd", baseline="sft")
FIDELITY = "concept_fidelity"


def labels(table):
    return names.labels(dict.fromkeys(table.score), 4, 32)


def number(value, low, high):
    return {"value": value, "low": low, "high": high, "n": 10}


PROBE = {
    "text": {"shape": number(0.1, 0.0, 0.2), "colour": number(0.1, 0.0, 0.2), "mean": number(0.1, 0, 0.2)},
    "image_text": {"shape": number(0.3, 0.15, 0.4), "colour": number(0.6, 0.5, 0.7), "mean": number(0.5, 0.4, 0.6)},
    "wrong_image_text": {"shape": number(0.1, 0, 0.2), "colour": number(0.1, 0, 0.2), "mean": number(0.1, 0, 0.2)},
    "image": {"shape": number(0.3, 0.2, 0.4), "colour": number(0.6, 0.5, 0.7), "mean": number(0.5, 0.4, 0.6)},
}


NAMING = {"shape": number(0.9, 0.85, 0.95), "colour": number(0.8, 0.7, 0.9)}


@pytest.fixture
def summary(cells):
    return tables.summary(cells, "sft")


@pytest.fixture
def matched(cells):
    return tables.matched(cells, ["sft", "dopsd"], "sft", FIDELITY, 4)


def test_a_verdict_says_the_direction_or_that_there_is_none(summary):
    said = page.verdict(summary, "contrast", COMPARE, "sharpness", "sharper", "more blurred")
    assert said == "D-OPSD against SFT, sharpness: +0.200 [+0.200, +0.200], sharper."
    wide = summary.assign(difference_low=-1.0, difference_high=1.0)
    assert "no difference is shown" in page.verdict(wide, "contrast", COMPARE, "sharpness", "x", "y")
    assert "was measured" in page.verdict(summary, "smell", COMPARE, "smell", "x", "y")


def test_above_controls_needs_intervals_apart_from_both():
    assert page.better_than_controls(PROBE) == ["colour"]


def test_a_distance_is_better_where_it_is_less():
    near = {c: {"dino_distance": number(v, v - 0.05, v + 0.05)} for c, v in (("text", 0.6), ("wrong_image_text", 0.7))}
    scores = near | {"image_text": {"dino_distance": number(0.3, 0.2, 0.4)}}
    assert page.better_than_controls(scores, {"dino_distance"}) == ["dino_distance"]
    assert page.better_than_controls(scores) == []


def test_an_attribute_that_is_never_named_has_no_share():
    table = page.probe_table(PROBE, NAMING | {"shape": number(0.0, 0.0, 0.1)})
    rows = {line.split("|")[1].strip(): line.split("|")[-2].strip() for line in table.splitlines()}
    assert rows["shape"] == "-" and rows["colour"] == "0.75"


ANSWER = {
    "id": "x",
    "claim": "D-OPSD learns the concept",
    "score": "fidelity_gain",
    "value": 0.5,
    "low": 0.4,
    "high": 0.6,
}
ANSWER |= {"n_units": 2, "bar": ">= 0.2", "must_hold": "described", "held": "0.9", "must_fail": "", "failed": ""}
ANSWER |= {"verdict": "holds"}


def results(summary, matched, **changes):
    known = {
        "step_size": {"sft": number(3e-4, 3e-4, 3e-4), "dopsd": number(1e-3, None, None)},
        "probe": {"eye": {"4": PROBE, "8": PROBE}},
        "miniature": {"naming": {"eye": NAMING}},
        "devices": ["cpu", "NVIDIA H100"],
        "lower": (),
        "figures": {"comparison", "fidelity_retention", "nfe", "loss", "probe"},
        "random_weights": False,
    }
    answered = pd.DataFrame([ANSWER], columns=claims.COLUMNS)
    return page.Results(summary, matched, answered, **(known | changes))


def test_the_report_holds_the_numbers_and_every_label_is_a_score(repository, summary, matched):
    text = page.report(results(summary, matched), repository)
    assert "### eye, 4 steps" in text and "### eye, 8 steps" in text
    assert "intervals apart, on colour." in text
    assert "| 0.75 " in text  # colour: .6 drawn of .8 named
    assert "D-OPSD learns the concept" in text
    assert "- sft: 0.0003\n" in text and "- dopsd: 0.001 (given)" in text
    assert "| new scenes: concept fidelity" in text and "quality_" not in text
    assert "kept, 32 NFE: adherence (1 = kept)" in text and "few-step gap: contrast, 4 over 32 NFE" in text
    assert "32 guided ones" in text
    assert "ran on different devices: cpu, NVIDIA H100" in text and "Random weights" not in text
    assert "{{" not in text and "{%" not in text


def test_a_report_from_random_weights_says_so_first(repository, summary, matched):
    text = page.report(results(summary, matched, random_weights=True), repository)
    assert text.index("**Random weights") < 200


def test_a_study_without_probe_and_miniature_has_no_such_sections(repository, summary, matched):
    without = {"probe": None, "miniature": None, "figures": {"comparison", "loss"}}
    text = page.report(results(summary, matched, **without), repository)
    assert "nfe.png" not in text and "loss.png" in text
    assert "in-context probe" not in text and "MINIATURE.md" not in text and "## Summary" in text


CLAIM = {"id": "x", "claim": "{method} x", "paper": "nowhere", "score": "fidelity_gain", "of": "method", "bar": 0.2}
CLAIM |= {"must_hold": None, "must_fail": None, "against": "less"}


def claim(**fields):
    return Claim.model_validate(CLAIM | fields)


def asked(cells, *of, compare=COMPARE, trained=("sft", "dopsd")):
    matched = tables.matched(cells, trained, compare.baseline, FIDELITY, 4)
    return claims.answers(of, cells, matched, compare, FIDELITY, 4)


def test_a_claim_is_answered_by_the_whole_interval():
    above, below = claim(), claim(at_most=True)
    spans = ((0.2, 0.4), (0.1, 0.3), (0.0, 0.1))
    assert [claims.side(above, (0.2, *s)) for s in spans] == ["holds", "open", "fails"]
    assert [claims.side(below, (0.2, *s)) for s in ((0.2, 0.4), (0.21, 0.3), (0.0, 0.2))] == ["open", "fails", "holds"]


def test_answers_take_each_number_from_its_place(cells):
    row = asked(cells, claim(), claim(score="binding", at="last"), claim(of="difference", score="leakage")).iloc
    matched = tables.matched(cells, ["sft", "dopsd"], "sft", FIDELITY, 4).set_index("score")
    assert row[0].value == pytest.approx(0.62) and row[0].verdict == "holds" and row[0].bar == ">= 0.2"
    assert row[0].n_units == 2 and row[1].value == pytest.approx(0.75) and row[2].value == pytest.approx(0.2)
    assert row[2].low == matched.loc["leakage", "difference_low"]
    other = asked(cells, claim(), compare=Compared(method="sft", baseline="dopsd")).iloc[0]
    assert other.claim == "SFT x" and other.value == pytest.approx(0.44)


def test_a_control_that_does_not_do_what_it_must_makes_a_claim_undecidable(cells):
    kept = {"score": "contrast_kept", "bar": 2.0}
    verdicts = asked(
        cells,
        claim(**kept, must_hold="described"),  # is 1, and ought to hold a bar of 2
        claim(**kept | {"bar": 1.0}, must_hold="described"),
        claim(**kept | {"bar": 1.0}, must_fail="base"),  # scores as described does: does not fail
        claim(**kept, must_fail="base"),
        claim(score="smell"),
    ).verdict
    assert list(verdicts) == ["not decidable", "holds", "not decidable", "holds", "not measured"]
    gone = {k: v for k, v in cells.items() if k[0] != "base"}
    assert asked(gone, claim(**kept, must_fail="base")).verdict[0] == "not decidable"


def test_the_shipped_claims_are_asked_of_scores_that_there_are(cells):
    found = asked_of.load(ROOT / "claims.yaml")
    known = {*tables.matched(cells, ["sft", "dopsd"], "sft", FIDELITY, 4).score, "binding", "adherence"}
    assert {c.score for c in found} <= known and all(c.must_fail or c.of == "difference" for c in found)


def test_one_unit_shows_numbers_without_intervals():
    """One concept with one seed: nothing that looks like an interval, no claim that is answered."""
    cells = cells_of(concepts=["beacon"], seeds=[0])
    summary, matched = tables.summary(cells, "sft"), tables.matched(cells, ["sft", "dopsd"], "sft", FIDELITY, 4)
    assert summary.low.isna().all() and matched.difference_low.isna().all() and set(matched.n) == {1}
    for text in (
        tables.summary_markdown(summary, labels(summary), "sft"),
        tables.matched_markdown(matched, labels(matched), "sft"),
        claims.answers_markdown(asked(cells, claim(must_hold="described"))),
    ):
        assert "[" not in text and "nan" not in text
    assert set(asked(cells, claim(), claim(score="binding", at="last")).verdict) == {"not decidable"}
    assert page.verdict(summary, "contrast", COMPARE, "sharpness", "x", "y").endswith(
        "one cell, so without an interval."
    )


def test_one_method_alone_is_shown_without_differences():
    cells = cells_of(methods=["untouched", "described", "dopsd"])
    summary, matched = tables.summary(cells, "sft"), tables.matched(cells, ["dopsd"], "sft", FIDELITY, 4)
    assert "difference" not in summary and matched.empty
    assert "Not measured" in tables.matched_markdown(matched, labels(matched), "sft")
    assert set(asked(cells, claim(), trained=["dopsd"]).verdict) == {"not measured"}
    assert "Nothing is asked" in claims.answers_markdown(asked(cells, trained=["dopsd"]))
    assert "was measured" in page.verdict(summary, "contrast", COMPARE, "sharpness", "x", "y")


def test_without_the_described_row_its_score_is_left_out_and_no_other(matched):
    bare = tables.matched(cells_of(methods=["untouched", "sft", "dopsd"]), ["sft", "dopsd"], "sft", FIDELITY, 4)
    assert set(bare.score) == set(matched.score) - {"contrast_kept", "blur_added"}


def test_methods_are_called_as_their_files_say_and_scores_that_nobody_named_by_their_words():
    assert (
        names.label("dopsd") == "D-OPSD" and names.label("untouched") == "Untouched" and names.label("mine") == "mine"
    )
    assert names.score_label("dino_distance", 8, 50) == "dino distance"
