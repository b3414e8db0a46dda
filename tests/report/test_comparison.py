import numpy as np
import pytest
from PIL import Image

from dopsd.evaluation.sheets import Sheet
from dopsd.report import comparison, grids
from dopsd.support import paths
from dopsd.support.errors import UserError


def titles(figure):
    """Of the first row."""
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def texts(figure):
    return [text.get_text() for text in figure.texts]


def many_of(params, nfe):
    return params.model_copy(update={"evaluate": params.evaluate.model_copy(update={"nfe": nfe})})


def test_the_comparison_has_the_method_its_baseline_and_this_one_in_many_steps(repository):
    figure = comparison.comparison(repository, "mine")
    assert [" ".join(t.split()) for t in titles(figure)] == [
        "Training pictures",
        "Untouched",
        "Untouched, described",
        "D-OPSD, 4 steps",
        "SFT, 4 steps",
        "SFT, 32 guided steps",
    ]
    assert len(figure.axes) == 2 * 6


def test_columns_that_a_study_has_not_fall_away(study):
    plain = many_of(study(references=("untouched",), trained=("dopsd",)), (4,))
    assert [column.title for column in comparison.columns(plain)] == ["Untouched", "D-OPSD, 4 steps"]
    steps = {column.title: column.sheet for column in comparison.columns(study())}
    assert steps["Untouched"] == Sheet(0, "new", 4) and steps["SFT, 32 guided steps"] == Sheet(40, "new", 32, 1.5)


def test_each_method_is_shown_at_its_own_last_step(full):
    steps = {method: comparison.last_step(full, method) for method in ("untouched", "sft", "sft_equal")}
    assert steps == {"untouched": 0, "sft": 40, "sft_equal": 213}


def test_pictures_are_magnified_without_smoothing(repository, tmp_path):
    grids.save(comparison.comparison(repository, "mine"), tmp_path / "f.png")
    pixels = np.asarray(Image.open(tmp_path / "f.png").convert("RGB")).reshape(-1, 3)
    # two concepts with five columns: the first noise of two prompts, tiles 0 and 2, which are 10 k bright
    count = [(pixels == 20 * k // 2).all(1).sum() for k in range(4)]
    assert count[2] >= 2 * 5 * 128 * 128 and max(count[1], count[3]) < 128 * 128
    assert (pixels == (255, 0, 0)).all(1).sum() == 2 * 2 * 128 * 128  # two training pictures each


def test_under_each_row_stand_its_captions_and_prompts(repository):
    said = texts(comparison.comparison(repository, "mine"))
    row = next(text for text in said if text.startswith("taught"))
    assert row.startswith("taught: “[V]”, ...; asked: “") and row.count("“") == 3
    assert "chance 0.15. After 40 optimiser steps; seed 0." in " ".join(said[-1].split())


def test_a_look_without_words_has_a_blank_description(study, write):
    params = write(study(concepts=("beacon", "riso")))
    figure = comparison.comparison(params, "mine")
    described = figure.axes[6 + 2].images[0].get_array()
    assert described.shape == (128, 256, 3) and (described == 255).all()
    assert not (figure.axes[2].images[0].get_array() == 255).any()  # beacon's
    assert "Untouched, described" not in texts(comparison.sheet(params, "riso", "mine"))


def test_a_sheet_shows_every_method_and_its_prompts(repository):
    figure = comparison.sheet(repository, "fresco", "mine")
    assert texts(figure) == [
        "Untouched",
        "Untouched, described",
        "Base, undistilled",
        "SFT",
        "D-OPSD",
        "training pictures",
        "Study mine, fresco. 4 steps, last checkpoint, seed 0; equal noise down a column.",
    ]
    assert len(figure.axes) == 6 * 8 and len(titles(figure)) == 8
    shown = [int(axes.images[0].get_array()[0, 0, 0]) for axes in figure.axes]
    assert shown[:8] == [20 * k for k in range(8)]  # the first noise of each prompt
    assert shown[-4:] == [255] * 4  # there are four training pictures


def test_a_missing_sheet_is_one_clear_error(repository):
    (paths.samples("sft", "beacon", 0) / f"{Sheet(40, 'new', 4).name}.png").unlink()
    for draw in (
        lambda params: comparison.comparison(params, "mine"),
        lambda params: comparison.sheet(params, "beacon", "mine"),
    ):
        with pytest.raises(UserError, match=r"new-4\.png: missing; run `dvc repro draw`"):
            draw(repository)


def test_a_line_that_is_too_long_ends_in_an_ellipsis():
    assert grids.shortened("one two  three", 40) == "one two three"
    assert grids.shortened("one two three", 8) == "one two…"
