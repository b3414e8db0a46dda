"""Names in figures: shown as they are, in a font that has their letters."""

import warnings

import numpy as np
import pytest
from matplotlib import font_manager

from dopsd.report import fonts, grids

TILE = np.zeros((64, 64, 3), np.uint8)


@pytest.fixture(autouse=True)
def fresh():
    for remembered in (fonts.others, fonts._say):
        remembered.cache_clear()
    yield
    fonts.others.cache_clear()


@pytest.mark.parametrize("name", ["costs $5", "$x^{", "100% $\\frac{", "a_b^c $", "$$"])
def test_a_dollar_begins_no_formula(name, tmp_path):
    grids.save(grids.picture_grid([[TILE]], [name], [name]), tmp_path / "f.png")
    assert (tmp_path / "f.png").stat().st_size > 500


def test_letters_of_another_font_are_taken_from_it(monkeypatch):
    own = fonts.letters(str(font_manager.findfont(font_manager.FontProperties())))
    file = next(f.fname for f in font_manager.fontManager.ttflist if f.name == "STIXGeneral")
    letter = chr(min(n for n in fonts.letters(file) - own if chr(n).isprintable()))
    monkeypatch.setattr(fonts, "others", lambda: [("STIXGeneral", file)])
    assert fonts.how(f"a {letter}") == {"parse_math": False, "fontfamily": ["DejaVu Sans", "STIXGeneral"]}
    assert fonts.how("plain") == {"parse_math": False}
    figure = grids.picture_grid([[TILE]], [letter], ["plain"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.canvas.draw()


def test_letters_that_no_font_has_are_said_once(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(fonts, "others", lambda: [])
    for _ in range(2):
        grids.save(grids.picture_grid([[TILE]], ["柯基"], ["柯基"]), tmp_path / "f.png")
    assert capsys.readouterr().err.count("no font here has 基柯") == 1


def test_wide_letters_count_two():
    assert fonts.wide("abc") == 3 and fonts.wide("柯基a") == 5
    assert grids.broken("a b c d", 3) == "a b\nc d" and max(map(len, grids.broken("柯" * 10, 8).splitlines())) <= 4
