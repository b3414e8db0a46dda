"""A person's own pictures, in every form that is promised."""

import json
from pathlib import Path

import pytest
from PIL import Image

from dopsd.commands import captions
from dopsd.sets import folder as own
from dopsd.sets.captions import NAMELESS, with_captions
from dopsd.support.errors import UserError

CORGI = Path(__file__).parents[3] / "shared" / "data" / "corgi"


@pytest.fixture
def folder(tmp_path):
    Image.new("RGB", (90, 60), "red").save(tmp_path / "a.jpg")
    Image.new("RGB", (40, 80), "blue").save(tmp_path / "b.PNG")
    return tmp_path


def test_buckets_have_the_area_and_are_multiples_of_sixteen():
    sizes = own.buckets(1024)
    assert len(set(sizes)) == 11 and (1024, 1024) in sizes
    for height, width in sizes:
        assert height % 16 == width % 16 == 0 and abs(height * width / 1024**2 - 1) < 0.02
        assert 0.49 < height / width < 2.05
    assert own.bucket(100, 100, 512) == (512, 512)
    tall = own.bucket(300, 200, 512)
    assert tall[0] / tall[1] == pytest.approx(1.5, rel=0.05)


def test_a_folder_without_captions(folder):
    items = own.read_pictures(folder, "corgi", 64).items
    assert [i.file.name for i in items] == ["a.jpg", "b.PNG"] and all(not i.captions for i in items)
    assert items[0].size[0] < items[0].size[1] and items[0].image().size == items[0].size[::-1]
    named = with_captions(items)
    assert list(named[0].captions.values()) == list(NAMELESS)
    written = with_captions(items, lambda item: f"[V] in {item.file.stem}")
    assert [list(i.captions.values()) for i in written] == [["[V] in a"], ["[V] in b"]]


def test_texts_beside_the_pictures_are_caption_variants(folder):
    (folder / "a.txt").write_text("[V] on grass\n\n[V] outdoors\n", encoding="utf-8")
    first, second = with_captions(own.read_pictures(folder, "corgi", 64).items)
    assert list(first.captions.values()) == ["[V] on grass", "[V] outdoors"]
    assert list(second.captions.values()) == list(NAMELESS)
    (folder / "b.txt").write_text("\n")
    with pytest.raises(UserError, match=r"b\.txt: empty"):
        own.read_pictures(folder, "corgi", 64).items


def test_metadata_jsonl(folder):
    rows = [{"file_name": "a.jpg", "text": "[V] one"}, {"file_name": "b.PNG", "text": ["[V] two", "[V] three"]}]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    first, second = own.read_pictures(folder, "corgi", 64).items
    assert list(first.captions.values()) == ["[V] one"] and list(second.captions.values()) == ["[V] two", "[V] three"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"metadata\.jsonl:1: not JSON"),
        ('{"text": "x"}', r"metadata\.jsonl:1: file_name: missing"),
        ('{"file_name": "c.jpg"}', r"metadata\.jsonl:1: file_name: 'c\.jpg' is not there"),
        ('{"file_name": "../c.jpg"}', r"file_name: '\.\./c\.jpg' leads out of"),
        ('{"file_name": "a.jpg", "text": 3}', r"metadata\.jsonl:1: text: 3 is no caption"),
    ],
)
def test_a_broken_metadata_names_file_line_and_remedy(folder, line, message):
    (folder / "metadata.jsonl").write_text(line)
    with pytest.raises(UserError, match=message):
        own.read_pictures(folder, "corgi", 64).items


def test_a_broken_picture_and_an_empty_folder_are_clear_errors(tmp_path):
    with pytest.raises(UserError, match=r"no pictures; put .*jpg"):
        own.read_pictures(tmp_path, "corgi", 64).items
    with pytest.raises(UserError, match="not a folder"):
        own.read_pictures(tmp_path / "none", "corgi", 64).items
    (tmp_path / "x.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"x\.png: not a readable image"):
        own.read_pictures(tmp_path, "corgi", 64).items


def test_a_photo_is_turned_as_its_camera_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter
    Image.new("RGB", (90, 60)).save(tmp_path / "a.jpg", exif=exif)
    (item,) = own.read_pictures(tmp_path, "corgi", 64).items
    assert item.size[0] > item.size[1]


@pytest.mark.skipif(not CORGI.exists(), reason="the corgi set is not beside this checkout")
def test_the_releases_corgi_set_loads_as_it_is():
    items = own.read_pictures(CORGI, "my corgi", None).items
    assert len(items) == 4 and all(i.size == (1024, 1024) and len(i.captions) == 8 for i in items)
    assert all(i.size == (64, 64) for i in own.read_pictures(CORGI, "my corgi", 64).items)
    assert items[0].image().size == (1024, 1024)


def test_the_vlm_writes_captions(all_settings, folder):
    items = own.read_pictures(folder, "corgi", 64).items
    write = captions.writer(all_settings["zimage"])
    try:
        said = write(items[0])
    except UserError as error:  # random weights may say nothing but special tokens
        assert "wrote nothing" in str(error)
    else:
        assert isinstance(said, str) and said
    with pytest.raises(UserError, match="needs a backbone with a VLM"):
        captions.writer(all_settings["klein"])
