"""Image-text sets: the release's own format is read, and every fault names file, line, field and remedy."""

import json
from pathlib import Path

import pytest
from PIL import Image

from dopsd.sets.jsonl import read_set
from dopsd.support.errors import UserError

CORGI = Path(__file__).parents[3] / "shared" / "data" / "corgi" / "data.jsonl"
ROW = {"class_name": "corgi", "local_path_list": ["a.png"], "h*w": "64*32", "short_en": "[V] outdoors"}


@pytest.fixture
def write(tmp_path):
    Image.new("RGB", (100, 40), "red").save(tmp_path / "a.png")

    def make(*rows) -> Path:
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        (tmp_path / "data.jsonl").write_text("\n".join(lines), encoding="utf-8")
        return tmp_path / "data.jsonl"

    return make


def test_a_set_is_read_and_pictures_are_cropped_to_their_size(write):
    (item,) = read_set(write(ROW, ""))
    assert item.captions == {"short_en": "[V] outdoors"} and item.class_name == "corgi" and item.size == (64, 32)
    assert item.image().size == (32, 64)  # PIL says width first


def test_the_releases_path_from_its_own_root_is_found(write, tmp_path):
    (tmp_path / "target_images").mkdir()
    Image.new("RGB", (32, 64)).save(tmp_path / "target_images" / "00.jpg")
    (item,) = read_set(write({**ROW, "local_path_list": ["dataset/corgi/target_images/00.jpg"]}))
    assert item.file == (tmp_path / "target_images" / "00.jpg").resolve()


@pytest.mark.skipif(not CORGI.exists(), reason="the release's corgi set is not beside this repository")
def test_the_releases_corgi_set_is_read():
    items = read_set(CORGI)
    assert len(items) == 4 and all(len(i.captions) == 8 and i.size == (1024, 1024) for i in items)
    assert items[0].image().size == (1024, 1024)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("{", r"data\.jsonl:1: not JSON"),
        ("[1]", r"data\.jsonl:1: list, not an object"),
        ({"short_en": " "}, r"data\.jsonl:1: short_en: ' ' is no caption"),
        ({"short_en": None}, r"short_en: None is no caption"),
        ({"h*w": "60*60"}, r"h\*w: '60\*60' is no size; give height\*width in pixels, multiples of 16"),
        ({"h*w": "0*64"}, r"h\*w: '0\*64' is no size"),
        ({"class_name": ""}, r"class_name: ''; give the noun"),
        ({"local_path_list": "a.png"}, r"local_path_list: 'a\.png'; give a list"),
        ({"local_path_list": ["b.png"]}, r"local_path_list: 'b\.png' is not there"),
        ({"local_path_list": ["../a.png"]}, r"leads out of"),
        ({"local_path_list": ["/etc/hostname"]}, r"leads out of"),
        (
            {"local_path_list": ["a.png", "./a.png"]},
            r"data\.jsonl:1: local_path_list: 'a\.png' stands in line 1 already",
        ),
        ({"local_path_list": ["x" * 300]}, r"is not there"),
        ({"local_path_list": ["a\0.png"]}, r"is no path"),
        ({"h*w": "٦٤*٦٤"}, r"is no size"),
        ({"background": "clear"}, r"data\.jsonl:1: background 'clear': no colour"),
        ('{"class_name": "a", "class_name": "b"}', r"data\.jsonl:1: 'class_name' stands twice"),
    ],
)
def test_a_fault_names_line_field_and_remedy(write, change, message):
    row = change if isinstance(change, str) else {**ROW, **change}
    with pytest.raises(UserError, match=message):
        read_set(write(row))


def test_no_caption_no_images_no_file(write, tmp_path):
    with pytest.raises(UserError, match="no caption; give at least one of short_en"):
        read_set(write({k: v for k, v in ROW.items() if k != "short_en"}))
    with pytest.raises(UserError, match="no images"):
        read_set(write(""))
    with pytest.raises(UserError, match="missing; run the stage `fetch`"):
        read_set(tmp_path / "none.jsonl")


def test_a_broken_picture_is_an_error_and_not_another_sample(write, tmp_path):
    (item,) = read_set(write(ROW))
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    with pytest.raises(UserError, match=r"a\.png: not a readable image .*replace it"):
        item.image()


def test_lines_end_at_line_ends_only_and_a_byte_order_mark_is_read(write):
    file = write({**ROW, "short_en": "[V] one\u2028two"})
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\\u2028", "\u2028".encode()) + b"\r\n\r\n")
    assert [i.captions for i in read_set(file)] == [{"short_en": "[V] one\u2028two"}]


def test_edits_of_two_equal_pictures_of_one_name_cannot_be_told_apart(write, tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (32, 64)).save(tmp_path / folder / "1.png")
    rows = [{**ROW, "local_path_list": [f"{f}/1.png"], "input_path_list": ["a.png"]} for f in ("x", "y")]
    with pytest.raises(UserError, match=r"1\.png: the same name and content as .*1\.png; take one out"):
        read_set(write(*rows))
