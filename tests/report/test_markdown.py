from types import SimpleNamespace

import pytest

from dopsd.report import markdown, tables


def number(value, low, high):
    return {"value": value, "low": low, "high": high, "n": 10}


PROBE = {
    "text": {"shape": number(0.1, 0.0, 0.2), "colour": number(0.1, 0.0, 0.2), "mean": number(0.1, 0, 0.2)},
    "image_text": {"shape": number(0.3, 0.15, 0.4), "colour": number(0.6, 0.5, 0.7), "mean": number(0.5, 0.4, 0.6)},
    "wrong_image_text": {"shape": number(0.1, 0, 0.2), "colour": number(0.1, 0, 0.2), "mean": number(0.1, 0, 0.2)},
    "image": {"shape": number(0.3, 0.2, 0.4), "colour": number(0.6, 0.5, 0.7), "mean": number(0.5, 0.4, 0.6)},
}


@pytest.fixture
def summary(repository):
    grid = repository.grid
    return tables.summary(tables.read_cells(grid.methods, grid.concepts, grid.seeds))


def test_a_verdict_says_the_direction_or_that_there_is_none(summary):
    said = markdown.verdict(summary, "sharpness", "dopsd", "sharpness", "sharper", "more blurred")
    assert said == "D-OPSD against SFT, sharpness: +0.200 [+0.200, +0.200], sharper."
    wide = summary.assign(difference_low=-1.0, difference_high=1.0)
    assert "no difference is shown" in markdown.verdict(wide, "sharpness", "dopsd", "sharpness", "x", "y")
    assert "was measured" in markdown.verdict(summary, "smell", "dopsd", "smell", "x", "y")


def test_above_controls_needs_intervals_apart_from_both():
    assert markdown.above_controls(PROBE) == ["colour"]


def test_the_report_holds_the_numbers_and_every_label_is_a_score(repository, summary):
    few, many = 4, 32
    assert set(markdown.labels(few, many)) <= set(summary.score)
    text = markdown.report(
        summary,
        tables.matched(
            tables.read_cells(repository.grid.methods, repository.grid.concepts, repository.grid.seeds), ["dopsd"]
        ),
        PROBE,
        {"reader_accuracy": {"shape": number(0.987, 0.98, 0.99)}, "autoencoder_l1": number(0.02, 0.01, 0.03)},
        {"sft": number(3e-4, 3e-4, 3e-4)},
        SimpleNamespace(grid=repository.grid),
        (few, many),
    )
    assert "| reader_accuracy.shape | 0.987 | 0.980 | 0.990 | 10 |" in text
    assert "intervals apart, on: colour." in text
    assert "- sft: 0.0003" in text
    assert "| new scenes: concept fidelity" in text
    assert "{{" not in text and "{%" not in text
