from pathlib import Path

import pytest

from dopsd.config import questions
from dopsd.config.params import load
from dopsd.support.errors import UserError

ROOT = Path(__file__).parents[2]
ROWS = ("untouched", "sft", "dopsd")


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Read questions.yaml with this text."""
    monkeypatch.chdir(tmp_path)

    def make(text):
        Path("questions.yaml").write_text(text)
        return questions.load(ROWS)

    return make


def test_a_study_without_the_file_asks_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert questions.load(ROWS) == {}


def test_questions_keep_their_order_and_their_rows(written):
    found = written(
        "questions:\n  b: {asks: B, rows: [dopsd, sft], against: sft}\n  a: {asks: A, rows: [sft, untouched], against: sft}\n"
    )
    assert list(found) == ["b", "a"] and found["b"].rows == ("dopsd", "sft") and found["a"].asks == "A"


@pytest.mark.parametrize(
    "text, said",
    [
        (
            "questions:\n  a: {asks: A, rows: [sft, dospd], against: sft}\n",
            "questions.a.rows: 'dospd' is no row here.*dopsd",
        ),
        ("questions:\n  a: {asks: A, rows: [sft], against: sft}\n", "questions.yaml.*a.rows"),
        ("questions:\n  a: {rows: [sft, dopsd], against: sft}\n", "questions.yaml.*a.asks"),
        ("questions:\n  a: {asks: A, rows: [sft, dopsd], against: base}\n", "against names 'base'"),
        ("questions: {}\n", "questions.yaml.*questions"),
    ],
)
def test_what_is_wrong_is_named(written, text, said):
    with pytest.raises(UserError, match=f"(?s){said}"):
        written(text)


def test_the_shipped_questions_are_of_rows_of_their_study(monkeypatch):
    monkeypatch.chdir(ROOT / "studies/questions")
    params = load()
    found = questions.load(params.grid.methods)
    asked = {row for q in found.values() for row in q.rows}
    assert asked == set(params.grid.trained)  # none is trained for nothing
