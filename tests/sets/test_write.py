from dataclasses import replace

import pytest
from PIL import Image

from dopsd.sets.items import Item
from dopsd.sets.jsonl import read_set
from dopsd.sets.write import write_set
from dopsd.support.errors import UserError


@pytest.fixture
def item(tmp_path):
    Image.new("RGB", (32, 48), "red").save(tmp_path / "a.png")
    return Item(tmp_path / "a.png", (48, 32), {"short_en": "[V]", "medium_zh": "户外的 [V]"}, "corgi")


def test_what_is_written_is_read_again(item, tmp_path):
    edit = replace(item, inputs=(item.file, item.file))
    write_set([item, edit], tmp_path / "set")
    plain, edited = read_set(tmp_path / "set" / "data.jsonl")
    for again in (plain, edited):
        assert (again.size, again.captions, again.class_name) == (item.size, item.captions, item.class_name)
        assert again.file.read_bytes() == item.file.read_bytes()
    assert plain.inputs == () and [f.name for f in edited.inputs] == ["001-0.png", "001-1.png"]
    assert plain.file.name != edited.file.name  # rows of prompts name pictures by their files
    write_set([item], tmp_path / "set")  # in place of the other
    assert len(read_set(tmp_path / "set" / "data.jsonl")) == 1


def test_more_captions_than_the_format_holds_are_an_error(item, tmp_path):
    many = replace(item, captions={f"caption_{i}": f"[V] {i}" for i in range(9)})
    with pytest.raises(UserError, match=r"a\.png: 9 captions; the sets hold 8 at most"):
        write_set([many], tmp_path / "set")
    eight = replace(item, captions={f"caption_{i}": f"[V] {i}" for i in range(8)})
    write_set([eight], tmp_path / "set")
    (again,) = read_set(tmp_path / "set" / "data.jsonl")
    assert list(again.captions.values()) == list(eight.captions.values())


def test_the_background_is_kept_and_a_long_name_is_shortened(item, tmp_path):
    long = item.file.rename(tmp_path / ("x" * 250 + ".png"))
    write_set([replace(item, file=long, background="#102030")], tmp_path / "set")
    (again,) = read_set(tmp_path / "set" / "data.jsonl")
    assert again.background == "#102030" and again.file.name == "000.png"


def test_a_set_that_fails_leaves_the_old_one_and_nothing_else(item, tmp_path):
    write_set([item], tmp_path / "set")
    (tmp_path / "set.tmp").mkdir()  # somebody's own
    with pytest.raises(OSError):
        write_set([item, replace(item, file=tmp_path / "gone.png")], tmp_path / "set")
    assert len(read_set(tmp_path / "set" / "data.jsonl")) == 1
    assert sorted(f.name for f in tmp_path.iterdir()) == ["a.png", "set", "set.tmp"]
