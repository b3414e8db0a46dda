import os

import pytest

from dopsd.support import text
from dopsd.support.errors import UserError


@pytest.fixture
def file(tmp_path):
    def make(content: bytes):
        (tmp_path / "t.txt").write_bytes(content)
        return tmp_path / "t.txt"

    return make


def test_one_way_for_every_editor(file):
    assert text.read_text(file(b"\xef\xbb\xbfa\r\nb\rc\n")) == "a\nb\nc\n"
    assert text.read_lines(file("a\u2028b\r\n\r\n \n c \x85d".encode())) == [(1, "a\u2028b"), (4, "c \x85d")]


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"a\xff", r"not UTF-8 \(byte 1\)"), (b"a\0", r"not text \(a zero byte\)"), ("é".encode("utf-16"), "not")],
)
def test_what_is_no_text(file, content, says):
    with pytest.raises(UserError, match=rf"t\.txt: {says}"):
        text.read_text(file(content))


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nowhere")
    for name, says in (
        ("none", "no such file"),
        (".", "a folder"),
        ("pipe", "not a regular file"),
        ("link", "no such file"),
        ("a\0", "null"),
    ):
        with pytest.raises(UserError, match=says):
            text.read_text(tmp_path / name)


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "LARGEST", 10)
    (tmp_path / "t").write_text("x" * 11)
    with pytest.raises(UserError, match="more than"):
        text.read_text(tmp_path / "t")


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ('{"a": NaN}', "NaN is not a number"),
        ('{"a": -Infinity}', "-Infinity is not a number"),
        ('{"a": 1e999}', "1e999 is too large"),
        ('{"a": ' + "9" * 5000 + "}", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ('{"a": "\\ud800"}', "half a character"),
        ("{", "not JSON"),
        ("[1]", "list, not an object"),
    ],
)
def test_json_that_is_refused(said, says):
    with pytest.raises(UserError, match=f"^f:1: .*{says}"):
        text.json_object(said, "f:1")


def test_json_that_is_read():
    assert text.json_object('{"a": "\\ud83d\\ude00", "b": [1, 1.5, null, true]}', "f") == {
        "a": "😀",
        "b": [1, 1.5, None, True],
    }


def test_lines_of_json_have_their_numbers(file):
    assert text.json_lines(file('{"a": "x\u2028y"}\n\n{"b": 1}'.encode())) == [(1, {"a": "x\u2028y"}), (3, {"b": 1})]


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("My Corgi!", "my-corgi"),
        ("柯基", "柯基"),
        ("Écran d'été", "écran-d-été"),
        ("e\u0301", "é"),
        ("../../etc", "etc"),
        ("a_b", "a-b"),
    ],
)
def test_a_name_of_a_file_in_any_script(name, slug):
    assert text.slug(name) == slug


def test_long_names_are_cut_and_empty_ones_refused():
    assert len(text.slug("柯" * 100).encode()) <= 100 and text.slug("x" * 300) == "x" * 100
    with pytest.raises(UserError, match="no letter or digit"):
        text.slug("!!!")
