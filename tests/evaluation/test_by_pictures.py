"""Prompts for a set of pictures."""

from dataclasses import replace

import pytest
from PIL import Image

from dopsd.config.study import Prompts
from dopsd.evaluation import by_pictures
from dopsd.evaluation.rows import NEW, ORDINARY, REFERENCE, REWRITE
from dopsd.sets.items import Item
from dopsd.support.errors import UserError


class Fake:
    """A VLM that answers as such models do, with numbers, quotes and a remark."""

    def __init__(self):
        self.asked = []

    def __call__(self, pictures, question, tokens):
        self.asked.append((pictures, question))
        if "Write 4" in question:
            return 'Here they are:\n1. [V] in snow\n2) "[V] at sea"\n- [V] at night\n• “[V] asleep”\n5. [V] too much'
        return "[V] lying on the grass"


@pytest.fixture
def items(tmp_path):
    out = []
    for i, colour in enumerate(("red", "blue")):
        Image.new("RGB", (32, 48), colour).save(tmp_path / f"{i}.png")
        captions = {"medium_en": "[V] on a lawn, in the sun", "short_en": "[V] outdoors", "short_zh": "户外"}
        out.append(Item(tmp_path / f"{i}.png", (48, 32), captions, "corgi"))
    return out


def test_a_vlm_writes_one_rewrite_and_four_new_prompts_a_picture(items):
    vlm = Fake()
    pairs = by_pictures.by_vlm(vlm, items, 4)
    assert pairs == [("[V] lying on the grass", ["[V] in snow", "[V] at sea", "[V] at night", "[V] asleep"])] * 2
    assert all("[V] outdoors" in question for _, question in vlm.asked)  # starts from the shortest caption with [V]


def test_too_few_prompts_are_an_error_with_a_remedy():
    with pytest.raises(UserError, match=r"a.png: the VLM wrote 1 prompts with \[V\] instead of 4.*by hand"):
        by_pictures.lines("[V] in snow\na dog at sea", 4, "a.png")


def test_without_a_vlm_captions_and_given_prompts_are_asked(items):
    pairs = by_pictures.by_captions(items, ("[V] in snow", "a street", "[V] at sea"), 4)
    assert pairs == [("[V] outdoors", ["[V] in snow", "[V] at sea"])] * 2
    with pytest.raises(UserError, match=r"prompts\.given: none holds \[V\]"):
        by_pictures.by_captions(items, ("a street",), 4)


def test_rows_have_their_pictures_size_group_and_the_seeds_of_the_release(items):
    rows = by_pictures.for_concept("corgi", items, [("[V] outdoors", ["[V] in snow", "[V] at sea"])] * 2, 2, 5)
    assert [r.kind for r in rows] == [REWRITE, NEW, NEW] * 4 and len({r.id for r in rows}) == 12
    assert [r.noise for r in rows] == [5 + k for k in range(6)] + [105 + k for k in range(6)]
    assert {(r.size, r.seed) for r in rows} == {((48, 32), None)}
    assert [r.picture for r in rows] == [r.group for r in rows] == [i.name for i in items for _ in range(6)]
    assert rows[1].described == "corgi in snow"


def test_an_edit_is_asked_in_its_own_words_and_nothing_new_is(items):
    edits = [replace(i, captions={"short_en": "make it a drawing"}, inputs=(i.file,)) for i in items]
    wanted = Prompts(source="captions", new=4, ordinary=8)
    pairs = by_pictures.written(edits, wanted, None)
    assert pairs == [("make it a drawing", [])] * 2
    assert {r.kind for r in by_pictures.for_concept("edit", edits, pairs, 1, 0)} == {REWRITE}


def test_ordinary_prompts_come_with_a_reference_from_other_noise():
    rows = by_pictures.ordinary(["a house", "a tree"], 64, 0)
    assert [(r.kind, r.text) for r in rows] == [(k, t) for k in (ORDINARY, REFERENCE) for t in ("a house", "a tree")]
    assert len({r.noise for r in rows}) == 4


def test_lists_of_ordinary_prompts(tmp_path):
    assert len(by_pictures.listed("everyday", 48)) == 48
    assert not any("[V]" in text for name in ("everyday", "world") for text in by_pictures.listed(name, 48))
    (tmp_path / "mine.txt").write_text("a house\n\na tree\n")
    assert by_pictures.listed(str(tmp_path / "mine.txt"), 2) == ["a house", "a tree"]
    with pytest.raises(UserError, match="has 2 prompts, fewer"):
        by_pictures.listed(str(tmp_path / "mine.txt"), 3)
    with pytest.raises(UserError, match="no such list"):
        by_pictures.listed("nothing", 3)
