from pathlib import Path

import pytest

from dopsd import objectives
from dopsd.config import pictures, questions
from dopsd.config.params import load
from dopsd.support.errors import UserError

ROOT = Path(__file__).parents[2]
TRAINED = ("sft_1", "sft_4")


@pytest.mark.parametrize(
    "text, said",
    [
        ("rows: {sft_1: 1, sft_5: 4}", "pictures.yaml: rows: 'sft_5' is none of grid.trained; did you mean 'sft_"),
        ("rows: {sft_1: 1}", "pictures.yaml: rows: no number of 'sft_4', one of grid.trained; add it"),
        ("rows: {sft_1: 1, sft_4: 5}", "pictures.yaml: rows.sft_4: 5 pictures, and fetch.images is 4; take fewer"),
        ("rows: {sft_1: 0, sft_4: 4}", "pictures.yaml: rows.sft_1: Input should be greater than or equal to 1"),
        ("rows: {sft_1: one, sft_4: 4}", "pictures.yaml: rows.sft_1: Input should be a valid integer, not 'one'"),
        ("rows: {}", "pictures.yaml: rows: Dictionary should have at least 1 item"),
        ("row: {sft_1: 1}", "pictures.yaml: row: unknown; did you mean 'rows'?"),
        (None, "pictures.yaml: missing; say on how many pictures each row"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, monkeypatch, text, said):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        pictures.FILE.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as error:
        pictures.load(TRAINED, 4)
    assert str(error.value).startswith(said)


def test_rows_have_their_numbers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pictures.FILE.write_text("rows: {sft_4: 4, sft_1: 1}", encoding="utf-8")
    assert pictures.load(TRAINED, 4) == {"sft_1": 1, "sft_4": 4}


def test_the_shipped_studys_rows_differ_in_their_number_alone_and_are_called_by_it(monkeypatch):
    monkeypatch.chdir(ROOT / "studies/pictures")
    params = load()
    numbers, asked = pictures.load(params.grid.trained, params.fetch.images), questions.load(params.grid.methods)
    assert {row for q in asked.values() for row in q.rows} == set(numbers)  # none is trained for nothing
    for key, question in asked.items():
        assert [numbers[row] for row in question.rows] == [1, 2, 4, 8, 16]
        like = objectives.method(key, params.methods, params.where)
        for row in question.rows:
            mine = objectives.method(row, params.methods, params.where)
            assert (mine.kind, mine.settings, mine.train) == (like.kind, like.settings, like.train)
            assert mine.label == f"{like.label}, {numbers[row]} picture{'s' if numbers[row] > 1 else ''}"
            assert params.step_size.same[row] == key
