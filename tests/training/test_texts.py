"""Texts that are longer than what a model reads: counted as the encoders cut them, and one text for student and teacher."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from dopsd import backbones
from dopsd.backbones.base import Reading
from dopsd.sets.items import Item
from dopsd.support.errors import UserError
from dopsd.training import texts


@pytest.fixture
def opened(all_settings):
    def make(kind: str, **changes):
        return backbones.load(all_settings[kind].model_copy(update=changes))

    return make


@pytest.fixture
def item(tmp_path):
    Image.new("RGB", (64, 64), "red").save(tmp_path / "a.png")
    return lambda text, **more: Item(tmp_path / "a.png", (64, 64), {"caption_0": text}, "corgi", **more)


def frame(model) -> int:
    """Tokens of the template around a prompt: one a byte in the tiny tokenizers."""
    return model.reads("").tokens


@pytest.mark.parametrize("kind", ["zimage", "klein", "krea"])
def test_what_is_kept_is_what_the_encoder_reads(opened, kind):
    model = opened(kind, student_tokens=60)
    text = "".join(chr(97 + i % 26) for i in range(80))
    read = model.reads(text)
    assert read.tokens == frame(model) + 80 and read.limit == 60 and text.startswith(read.kept) and read.kept != text
    n = len(read.kept)
    (same, other, whole) = model.context([text[:n] + "XYZ" * 20, text[: n - 1] + "!" + text[n:], text])
    assert torch.equal(same.features, whole.features) and not torch.equal(other.features, whole.features)
    assert model.reads("short").kept == "short"
    assert texts.cut(model, ["short", text]) == [
        f"prompt {text[:40] + '...'!r}: {read.tokens} tokens, of which 60 are read: up to ...{read.kept[-20:]!r}"
    ]


def test_the_tokenizer_alone_is_opened(opened, item):
    for kind in ("zimage", "klein", "krea"):
        model = opened(kind)
        texts.check(model, [item("[V] outdoors")], True)
        assert model._text is None and getattr(model, "_vlm", None) is None


def test_the_teachers_tokens_are_those_of_its_processor(opened, item):
    from dopsd.backbones.vlm import user_turn

    model, picture = opened("zimage"), item("[V] in the snow, far away")
    seen = user_turn(model.vlm[0], [picture.image()], "[V] in the snow, far away")
    assert model.teacher_reads("[V] in the snow, far away", (64, 64)).tokens == seen["input_ids"].shape[1]


def test_zimages_teacher_would_read_what_its_student_does_not(opened, item):
    model = opened("zimage", student_tokens=60)
    long = "a photo of [V] " + "in the snow " * 6
    said = rf"a\.png: caption_0: {frame(model) + len(long)} tokens, and student and teacher would read different texts "
    with pytest.raises(
        UserError, match=said + r"\(the student up to .*, the teacher all of it\); shorten.*student_tokens \(60\)"
    ):
        texts.check(model, [item(long)], True)
    (line,) = texts.check(model, [item(long)], False)  # no teacher: only said
    until = model.reads(long).kept[-20:]
    assert line == f"a.png: caption_0: {frame(model) + len(long)} tokens, of which 60 are read: up to ...{until!r}"
    assert texts.check(model, [item("[V]")], True) == []
    # what is cut of the template alone is no text
    barely = "x" * (61 - frame(model))
    assert len(texts.check(model, [item(barely)], True)) == 1 and model.reads(barely).kept == barely


def test_a_teacher_that_would_refuse_says_so_before_it_is_opened(opened, item):
    model = opened("zimage", teacher_tokens=40)
    with pytest.raises(
        UserError,
        match=r"a\.png: caption_0: a picture with its prompt is \d+ tokens, more than backbone\.teacher_tokens 40",
    ):
        texts.check(model, [item("[V] in the deep snow")], True)
    assert texts.check(model, [item("[V] in the deep snow")], False) == []


def test_kleins_two_read_one_prompt_and_lose_the_instruction(opened, item):
    model = opened("klein", student_tokens=60)
    barely = "x" * (60 - frame(model))
    (line,) = texts.check(model, [item(barely)], True)
    told = model.teacher_reads(barely, (64, 64)).tokens
    assert line == f"a.png: caption_0: the teacher is told {told} tokens and reads 60: its instruction is cut"
    assert len(texts.check(model, [item("y" * 90)], True)) == 2  # the prompt, too, at the same letter for both
    before = opened("klein", student_tokens=60, identity_instruction="draw this: {prompt}")
    with pytest.raises(UserError, match="different texts"):
        texts.check(before, [item("y" * 90)], True)


def test_of_many_the_first_are_listed(opened, item):
    model = opened("klein", student_tokens=60)
    lines = texts.check(model, [item("y" * 90)] * 30, False)
    assert len(lines) == texts.SHOWN + 1 and lines[-1] == "and 10 more that are cut"


class Reader:
    """Reads as many letters as it is told, a token each, and keeps all texts that a teacher reads with an instruction."""

    def __init__(self, limit):
        self.limit, self.edits = limit, []

    def reads(self, text):
        return Reading(len(text), self.limit, text[: self.limit])

    def teacher_reads(self, text, size, edit):
        self.edits.append(edit)
        return self.reads(text)


def test_a_text_of_just_the_limit_is_not_cut(item):
    assert texts.cut(Reader(5), ["12345"]) == texts.check(Reader(5), [item("12345")], True) == []
    assert len(texts.cut(Reader(4), ["12345"])) == 1 and len(texts.check(Reader(4), [item("12345")], True)) == 2


def test_a_teacher_is_told_of_an_edit_where_pictures_are_edited(item):
    model, one = Reader(9), item("[V]")
    texts.check(model, [one, replace(one, inputs=(one.file,))], True)
    assert model.edits == [False, True]


@pytest.mark.parametrize(
    ("limit", "until"),
    [(0, "nothing"), (3, "up to 'abc'"), (20, f"up to {'abcde' * 4!r}"), (21, f"up to ...{'bcdea' * 4!r}")],
)
def test_where_the_reading_ends_is_said_in_its_last_twenty_letters(limit, until):
    (line,) = texts.cut(Reader(limit), ["abcde" * 5])
    assert line == f"prompt {'abcde' * 5!r}: 25 tokens, of which {limit} are read: {until}"


@pytest.mark.parametrize(("letters", "said"), [(40, "x" * 40), (41, "x" * 40 + "...")])
def test_of_a_long_prompt_forty_letters_are_said(letters, said):
    (line,) = texts.cut(Reader(3), ["x" * letters])
    assert line.startswith(f"prompt {said!r}: ")


@pytest.mark.parametrize(("more", "last"), [(0, []), (1, ["and 1 more that are cut"])])
def test_as_many_as_are_listed_are_all(more, last):
    lines = texts.cut(Reader(1), [f"prompt {i}" for i in range(texts.SHOWN + more)])
    assert lines[texts.SHOWN :] == last and all(line.startswith("prompt 'prompt ") for line in lines[: texts.SHOWN])
