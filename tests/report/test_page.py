from types import SimpleNamespace

import pytest

from dopsd.report import claims, page, tables


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
def summary(repository):
    grid = repository.grid
    return tables.summary(tables.read_cells(grid.methods, grid.concepts, grid.seeds))


def test_a_verdict_says_the_direction_or_that_there_is_none(summary):
    said = page.verdict(summary, "sharpness", "dopsd", "sharpness", "sharper", "more blurred")
    assert said == "D-OPSD against SFT, sharpness: +0.200 [+0.200, +0.200], sharper."
    wide = summary.assign(difference_low=-1.0, difference_high=1.0)
    assert "no difference is shown" in page.verdict(wide, "sharpness", "dopsd", "sharpness", "x", "y")
    assert "was measured" in page.verdict(summary, "smell", "dopsd", "smell", "x", "y")


def test_above_controls_needs_intervals_apart_from_both():
    assert page.above_controls(PROBE) == ["colour"]


def test_an_attribute_that_is_never_named_has_no_share():
    table = page.probe_table(PROBE, NAMING | {"shape": number(0.0, 0.0, 0.1)})
    rows = {line.split("|")[1].strip(): line.split("|")[-2].strip() for line in table.splitlines()}
    assert rows["shape"] == "-" and rows["colour"] == "0.75"


def test_the_report_holds_the_numbers_and_every_label_is_a_score(repository, summary):
    few, many = 4, 32
    assert set(page.labels(few, many)) <= set(summary.score)
    text = page.report(
        summary,
        tables.matched(
            tables.read_cells(repository.grid.methods, repository.grid.concepts, repository.grid.seeds),
            ["sft", "dopsd"],
        ),
        {"eye": {"4": PROBE, "8": PROBE}},
        {"naming": {"eye": NAMING}},
        {"sft": number(3e-4, 3e-4, 3e-4)},
        SimpleNamespace(grid=repository.grid, evaluate=SimpleNamespace(few=few, many=many)),
        ["cpu", "NVIDIA H100"],
    )
    assert "### eye, 4 steps" in text and "### eye, 8 steps" in text
    assert "intervals apart, on colour." in text
    assert "| 0.75 " in text  # colour: .6 drawn of .8 named
    assert "D-OPSD learns the concept" in text
    assert "- sft: 0.0003" in text
    assert "| new scenes: concept fidelity" in text
    assert "ran on different devices: cpu, NVIDIA H100" in text
    assert "{{" not in text and "{%" not in text


def test_the_card_shows_the_bars_and_every_number():
    everything = {"shape": number(0.97, 0.96, 0.98), "colour": number(0.96, 0.95, 0.97)}
    by_model = {
        "base_32": number(0.9, 0.89, 0.91),
        "base_4": number(0.8, 0.79, 0.81),
        "turbo_4": number(0.9, 0.89, 0.91),
    }
    scores = {
        "reader_accuracy": everything,
        "naming": {"mini-vlm": everything | {"shape": number(0.7, 0.6, 0.8)}},
        "autoencoder_l1": number(0.02, 0.01, 0.03),
        "adherence": by_model,
        "attribute_adherence": {"turbo_4": everything},
        "frechet": {
            "base_32": number(2.0, 1.9, 2.1),
            "base_4": number(3.0, 2.9, 3.1),
            "turbo_4": number(2.0, 1.9, 2.1),
        },
        "diversity": {"base_32": number(9.0, 8.0, 10.0), "turbo_4": number(8.0, 7.0, 9.0)},
    }
    text = page.miniature_card(scores, {"mini-vlm": {"4": PROBE}})
    rows = {
        line.split("|")[1].strip(): [c.strip() for c in line.split("|")[2:-1]]
        for line in text.splitlines()
        if "|" in line
    }
    assert rows["reader accuracy on renders, the worst attribute"] == [">= 0.95", "0.960", "yes"]
    assert rows['naming from [image + "a [V]"], the worst attribute'] == [">= 0.90", "0.700", "no"]
    assert rows["autoencoder, mean absolute error"] == ["<= 0.02", "0.020", "yes"]
    assert rows["Fréchet, base over turbo, both in 4 steps"] == [">= 2.00", "1.500", "no"]
    assert rows["autoencoder_l1"] == ["0.020", "0.010", "0.030", "10"]


def test_a_question_is_answered_by_the_whole_interval():
    above = claims.Question("x", "score", "dopsd", 0.2)
    below = claims.Question("x", "score", "dopsd", 0.2, at_most=True)
    assert [above.answer(*i) for i in ((0.2, 0.4), (0.1, 0.3), (0.0, 0.1))] == ["holds", "open", "fails"]
    assert [below.answer(*i) for i in ((0.2, 0.4), (0.21, 0.3), (0.0, 0.2))] == ["open", "fails", "holds"]


def test_the_answers_take_each_number_from_its_column(repository):
    grid = repository.grid
    matched = tables.matched(tables.read_cells(grid.methods, grid.concepts, grid.seeds), grid.trained)
    table = claims.answers(matched).set_index("claim")
    rows = matched.set_index("score")
    assert table.loc["the few-step gap grows under SFT (Fréchet)", "value"] == rows.loc["gap_growth_frechet", "against"]
    assert table.loc["D-OPSD does not: sharpness over the described row's", "low"] == rows.loc["sharpness_kept", "low"]
    gain = table.loc["D-OPSD learns the concept: fidelity above the untouched model's"]
    assert gain.value == pytest.approx(0.62) and gain.answer == "holds" and gain.bar == ">= 0.2"


def test_one_unit_shows_numbers_without_intervals(repository):
    """One concept with one seed: nothing that looks like an interval, no claim that is answered."""
    cells = tables.read_cells(repository.grid.methods, ["beacon"], [0])
    summary, matched = tables.summary(cells), tables.matched(cells, ["sft", "dopsd"])
    assert summary.low.isna().all() and matched.difference_low.isna().all() and set(matched.n) == {1}
    for text in (
        tables.summary_markdown(summary, page.labels(4, 32)),
        tables.matched_markdown(matched, page.matched_labels(4, 32)),
        claims.answers_markdown(claims.answers(matched)),
    ):
        assert "[" not in text and "nan" not in text
    assert set(claims.answers(matched).answer) == {"no interval"}
    assert page.verdict(summary, "sharpness", "dopsd", "sharpness", "x", "y").endswith(
        "one cell, so without an interval."
    )


def test_one_method_alone_is_shown_without_differences(repository):
    cells = tables.read_cells(["untouched", "described", "dopsd"], ["beacon", "fresco"], [0, 1])
    summary, matched = tables.summary(cells), tables.matched(cells, ["dopsd"])
    assert "difference" not in summary and matched.empty
    assert "Not measured" in tables.matched_markdown(matched, page.matched_labels(4, 32))
    assert "Not measured" in claims.answers_markdown(claims.answers(matched))
    assert "was measured" in page.verdict(summary, "sharpness", "dopsd", "sharpness", "x", "y")


def test_without_the_described_row_its_score_is_left_out_and_no_other(repository):
    cells = tables.read_cells(["untouched", "sft", "dopsd"], ["beacon", "fresco"], [0, 1])
    scores = set(tables.matched(cells, ["sft", "dopsd"]).score)
    assert scores == set(tables.MATCHED) - {"sharpness_kept"}
    assert "sharpness over" not in " ".join(claims.answers(tables.matched(cells, ["sft", "dopsd"])).claim)
