"""Prompts as rows of a file."""

import pytest
import torch

from dopsd.evaluation import rows
from dopsd.evaluation.rows import Row
from dopsd.support.errors import UserError

ROW = {"id": "a", "kind": "new", "group": "0", "text": "[V] at sea", "height": 64, "width": 32, "noise": 7}


def made(**changes) -> Row:
    return Row.model_validate(ROW | changes)


def test_rows_come_back_as_they_were_written(tmp_path):
    scene = {"attributes": {"shape": "star"}, "free": [float(torch.rand(1)), 1 / 3]}
    wanted = [made(), made(id="b", text="[V] 在雪中\u2028", truth=scene, stated=("shape",), seed=3, said=0.5)]
    rows.write(wanted, tmp_path / "x" / "prompts.jsonl")
    file = tmp_path / "x" / "prompts.jsonl"
    file.write_text(file.read_text(encoding="utf-8") + "\n\n", encoding="utf-8")  # as an editor leaves it
    assert rows.read(file) == wanted


def test_noise_is_the_rows_own_and_the_same_every_time():
    row = made(noise=105)
    expected = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(105))
    assert torch.equal(row.start((2, 4, 3)), expected) and torch.equal(row.start((2, 4, 3)), expected)
    assert not torch.equal(made(noise=106).start((2, 4, 3)), expected)


def test_a_training_answers_its_own_rows_and_those_of_all():
    every = [made(), made(id="b", seed=1), made(id="c", seed=2), made(id="d", kind="ordinary")]
    assert [r.id for r in rows.of_kind(every, "new", 1)] == ["a", "b"]
    assert [r.id for r in rows.of_kind(every, "ordinary", 1)] == ["d"]
    assert [r.id for r in rows.of_kind(every, "new")] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", r"prompts\.jsonl:1: not JSON"),
        ("[1]", r":1: list, not an object"),
        ('{"id": "a", "kind": "ordinal"}', r":1: kind: .*'rewrite'"),
        ('{"id": "a", "kind": "new", "group": "0", "text": "", "height": 64, "width": 64, "noise": 0}', r":1: text: "),
        (
            '{"id": "a", "kind": "new", "group": "0", "text": "x", "height": 60, "width": 64, "noise": 0}',
            r":1: height: ",
        ),
        (
            '{"id": "a", "kind": "new", "group": "0", "text": "x", "height": 64, "width": 64, "noise": -1}',
            r":1: noise: ",
        ),
    ],
)
def test_a_broken_line_is_named_with_its_field(text, said, tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text(text)
    with pytest.raises(UserError, match=said):
        rows.read(file)


def test_an_id_that_stands_twice_or_a_file_that_is_not_there_is_an_error(tmp_path):
    file = tmp_path / "prompts.jsonl"
    rows.write([made(), made()], file)
    with pytest.raises(UserError, match=":2: id: 'a' stands in line 1, too"):
        rows.read(file)
    file.write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"not UTF-8 \(byte 0\)"):
        rows.read(file)
    with pytest.raises(UserError, match=r"none\.jsonl: missing; run `dvc repro prompts`"):
        rows.read(tmp_path / "none.jsonl")


def test_rows_of_another_openness_are_rows_of_their_own():
    every = [made(), made(id="b", chance=0.5, seed=1), made(id="c", chance=1.0, seed=2)]
    assert [r.id for r in rows.of_kind(every, "new")] == ["a"]
    assert [r.id for r in rows.of_kind(every, "new", chance=0.5)] == ["b"]
    assert rows.of_kind(every, "new", 2, 0.5) == [] and [r.id for r in rows.of_kind(every, "new", 2, 1.0)] == ["c"]
