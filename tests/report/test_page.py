import pandas as pd
import pytest
from made_up import cells_of

from dopsd.config.questions import Question
from dopsd.config.study import Compared
from dopsd.report import names, page, pairs, questions, sections, tables
from dopsd.report.along import Trainings
from dopsd.study import grid

COMPARE = Compared(method="dopsd", baseline="sft")


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


def pairs_of(cells, trained=("sft", "dopsd")):
    return pairs.pairs(Trainings(cells, trained, "concept_fidelity", 4, dict.fromkeys(trained, 3)), ["sft"])


def matched_of(cells, trained=("sft", "dopsd")):
    return pairs.matched(pairs_of(cells, trained), "sft")


@pytest.fixture
def summary(cells):
    return tables.summary(cells, "sft")


@pytest.fixture
def matched(cells):
    return matched_of(cells)


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


RECORD = {
    "id": "x",
    "family": "comparison",
    "claim": "D-OPSD learns the concept",
    "at": "matched",
    "value": 0.5,
    "low": 0.4,
    "high": 0.6,
}
RECORD |= {"n_units": 2, "by_seed": {"0": 0.5, "1": 0.5}, "bar": 0.2, "direction": ">=", "p": 0.01, "p_holm": 0.02}
RECORD |= {"verdict": "holds", "claims_commit": "0123456789", "claims_date": "2026-01-02T00:00:00", "changes": []}
POWER = ["id", "score", "pilot_value", "n", "smallest_effect"]
STEPS = {"sft": number(3e-4, 3e-4, 3e-4), "dopsd": number(1e-3, None, None)}


def results(cells, params, **changes):
    """Of made-up cells. `miniature`, ...: in the place of what a study has."""
    trained = params.grid.trained
    trainings = Trainings(cells, trained, "concept_fidelity", 4, dict.fromkeys(trained, 3))
    known = {
        "table": tables.summary(cells, "sft"),
        "pairs": pairs.pairs(trainings, ["sft"]),
        "records": [RECORD],
        "controls": {"x": []},
        "power": pd.DataFrame([("x", "fidelity_gain", 0.5, 2, 0.25)], columns=POWER),
        "concepts": tables.concepts(cells, {"beacon": "object", "fresco": "style"}, 4),
        "costs": sections.costs(params, grid.methods(params), STEPS),
        "openness": None,
        "front": None,
        "teacher": None,
        "reported": None,
        "floor": None,
        "questions": {},
        "differences": pd.DataFrame(columns=questions.COLUMNS),
        "probe": {"eye": {"4": PROBE, "8": PROBE}},
        "miniature": {"naming": {"eye": NAMING}},
        "devices": ["cpu", "NVIDIA H100"],
        "lower": (),
        "figures": {"comparison", "sheets", "methods", "trajectory", "fidelity_retention", "nfe", "loss", "probe"},
        "random_weights": False,
    }
    return page.Results(**(known | changes))


def headings(text):
    return [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]


def test_the_report_holds_the_numbers(cells, study):
    params = study()
    text = page.report(results(cells, params), params)
    assert "### eye, 4 steps" in text and "### eye, 8 steps" in text
    assert "intervals apart, on colour." in text
    assert "| 0.75 " in text  # colour: .6 drawn of .8 named
    assert "D-OPSD learns the concept" in text and "committed in `01234567`, 2026-01-02" in text
    assert "Nothing: every claim holds." in text
    assert "| 0.0003 " in text and "| 0.001 (given) " in text
    assert "quality_" not in text and "4 steps less 32 guided ones" in text
    assert "ran on different devices: cpu, NVIDIA H100" in text and "Random weights" not in text
    assert "[fresco](figures/sheets/fresco.png)" in text
    assert "{{" not in text and "{%" not in text and "nan" not in text


def test_a_question_is_a_section_with_its_figure(cells, study):
    params = study()
    asked = {"mine": Question(asks="Which is <better>?", rows=("dopsd", "sft"), against="sft")}
    text = page.report(results(cells, params, questions=asked, figures={"question-mine", "sheets"}), params)
    assert "## The questions" in text and "### Which is &lt;better&gt;?" in text
    assert "(figures/question-mine.png)" in text


def test_what_does_not_hold_has_a_page_of_its_own(study):
    params = study()
    assert "Nothing: every claim holds." in page.negative([RECORD], {"x": []}, params)
    failed = page.negative([RECORD | {"verdict": "fails"}], {"x": []}, params)
    assert "Of 1 claims" in failed and "**fails**: D-OPSD learns the concept" in failed
    assert "Nothing is asked" in page.negative([], {}, params)


def test_the_sections_are_those_that_a_study_has(cells, study):
    params = study()
    assert headings(page.report(results(cells, params), params)) == [
        "What was asked, and the answers",
        "What does not hold or cannot be decided",
        "What the figures say",
        "Summary (last step)",
        "At equal fidelity",
        "D-OPSD less SFT",
        "Along training",
        "Each concept",
        "Cost",
        "What a study of this size can see",
        "The in-context probe",
        "The miniature",
    ]
    none = {"records": [], "controls": {}, "power": pd.DataFrame(columns=POWER), "probe": None, "miniature": None}
    bare = page.report(results(cells, params, **none, figures={"comparison", "loss"}), params)
    left = ["What the figures say", "Summary (last step)", "At equal fidelity", "D-OPSD less SFT", "Along training"]
    assert headings(bare) == [*left, "Each concept", "Cost"]
    assert "Nothing is asked" in bare and "Claims are" not in bare
    assert "nfe.png" not in bare and "loss.png" in bare and "sheets" not in bare and "turbo" not in bare


def test_the_full_study_has_its_methods_one_at_a_time_and_its_turbos(cells, full, called):
    extra = cells_of(methods=["again", "teacher", "sft_states"])
    columns = ["method", "said", "score", "value", "low", "high"]
    opened = pd.DataFrame([("sft", 1.0, "blur_read", 0.2, 0.1, 0.3)], columns=columns)
    trained = full.grid.model_copy(update={"trained": ("sft", "sft_states", "dopsd"), "concepts": ("beacon", "fresco")})
    params = full.model_copy(update={"grid": trained})
    open_ = RECORD | {"verdict": "open", "bar": 0.5}
    text = page.report(results(cells | extra, params, openness=opened, records=[open_]), params)
    assert "Every method less SFT" in headings(text) and "Prompts that say more" in headings(text)
    assert "Every method" in headings(text) and "### At equal fidelity" in text
    assert "each of a few-step model of its own: mini-turbo, mini-turbo-2" in text and "turbo 0: 0.500" in text
    assert "- **open**: D-OPSD learns the concept" in text and "as SFT, but states 4" in text
    summary = text[text.index("## Summary") : text.index("## At equal fidelity")]
    assert "Teacher" in summary and "Untouched, other noise" in summary and "4 noised states" not in summary


def test_a_study_without_claims_says_so(cells, study):
    params = study()
    assert "Nothing is asked" in page.report(results(cells, params, records=[], controls={}), params)


def test_a_report_from_random_weights_says_so_first(cells, study):
    params = study()
    text = page.report(results(cells, params, random_weights=True), params)
    assert text.index("**Random weights") < 200


def test_one_unit_shows_numbers_without_intervals():
    """One concept with one seed: nothing that looks like an interval."""
    cells = cells_of(concepts=["beacon"], seeds=[0])
    summary, matched = tables.summary(cells, "sft"), matched_of(cells)
    assert summary.low.isna().all() and matched.difference_low.isna().all() and set(matched.n) == {1}
    for text in (
        tables.summary_markdown(summary, labels(summary), "sft"),
        sections.side_by_side(pairs_of(cells), "dopsd", "sft", 4, 32),
    ):
        assert "[" not in text and "nan" not in text
    assert page.verdict(summary, "contrast", COMPARE, "sharpness", "x", "y").endswith(
        "one cell, so without an interval."
    )


def test_one_method_alone_is_shown_without_differences():
    cells = cells_of(methods=["untouched", "described", "dopsd"])
    summary, matched = tables.summary(cells, "sft"), matched_of(cells, ["dopsd"])
    assert "difference" not in summary and matched.empty
    assert sections.side_by_side(pairs_of(cells, ["dopsd"]), "dopsd", "sft", 4, 32) == ""
    assert "was measured" in page.verdict(summary, "contrast", COMPARE, "sharpness", "x", "y")


def test_without_the_described_row_its_score_is_left_out_and_no_other(matched):
    bare = matched_of(cells_of(methods=["untouched", "sft", "dopsd"]))
    assert set(bare.score) == set(matched.score) - {"contrast_kept", "blur_added"}


def test_methods_are_called_as_their_files_say_and_scores_that_nobody_named_by_their_words():
    assert (
        names.label("dopsd") == "D-OPSD" and names.label("untouched") == "Untouched" and names.label("mine") == "mine"
    )
    assert names.label("teacher") == "Teacher" and names.label("again") == "Untouched, other noise"
    assert names.score_label("dino_distance", 8, 50) == "dino distance"


def test_own_attributes_stay_out_of_the_summary():
    shown = names.labels(["own_shape", "new_gap_blur", "guided_blur_read", "blur_read"], 4, 16)
    assert list(shown) == ["blur_read", "guided_blur_read", "new_gap_blur"]
    assert len(set(names.SCORES.values())) == len(names.SCORES)  # what is called alike cannot be told apart in a table
