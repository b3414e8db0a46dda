"""A person's own pictures, in every form that is promised."""

import json
from pathlib import Path

import pytest
from PIL import Image

from dopsd.commands import captions
from dopsd.sets import folder as own
from dopsd.sets.captions import NAMELESS, with_captions
from dopsd.sets.listing import mark
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
        own.read_pictures(folder, "corgi", 64)


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
        own.read_pictures(folder, "corgi", 64)


def test_a_broken_picture_and_an_empty_folder_are_clear_errors(tmp_path):
    with pytest.raises(UserError, match=r"no pictures; put .*jpg"):
        own.read_pictures(tmp_path, "corgi", 64)
    with pytest.raises(UserError, match="not a folder"):
        own.read_pictures(tmp_path / "none", "corgi", 64)
    (tmp_path / "x.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"x\.png: not a readable image"):
        own.read_pictures(tmp_path, "corgi", 64)


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


def save(folder, name, size=(64, 64), value="red", **how):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new(how.pop("mode", "RGB"), size, value).save(folder / name, **how)


def left(pictures):
    return {str(f.relative_to(pictures.folder)): why for f, why in pictures.left}


def test_what_a_run_wrote_into_the_folder_is_not_trained_on(folder):
    """`cd photos; dopsd tune --images .`, stopped and started again."""
    before = own.read_pictures(folder, "corgi", 64, out=folder / "tuned" / "corgi").items
    save(folder, "tuned/corgi/previews/step-00000.png")
    again = own.read_pictures(folder, "corgi", 64, out=folder / "tuned" / "corgi")
    assert again.items == before and left(again) == {"tuned/corgi": "where this run writes (--out)"}
    mark(folder / "tuned" / "corgi")
    other = own.read_pictures(folder, "corgi", 64, out=folder / "tuned" / "corgi-2")
    assert other.items == before and left(other) == {"tuned/corgi": "a dopsd run wrote it"}


def test_what_cannot_be_used_is_left_out_with_its_reason_and_said(folder):
    (folder / "broken.png").write_bytes(b"no picture")
    data = (folder / "b.PNG").read_bytes()
    (folder / "cut.png").write_bytes(data[:-20])
    save(folder, "tiny.png", (10, 300))
    save(folder, "copy.jpg", (90, 60))
    (folder / "tiny.txt").write_text("[V]")
    found = own.read_pictures(folder, "corgi", 64)
    assert [i.file.name for i in found.items] == ["a.jpg", "b.PNG"]
    reasons = left(found)
    assert reasons["broken.png"].startswith("not a readable image: none of JPEG")
    assert reasons["cut.png"].startswith("not a readable image (")
    assert reasons["tiny.png"] == "too small: 10 x 300 pixels"
    assert reasons["copy.jpg"] == "the same picture as a.jpg"
    assert reasons["tiny.txt"] == "a caption without a picture: none of this name is taken"
    said = found.said()
    assert said[0] == "2 pictures taken, 0 with captions"
    assert "left out: tiny.png: too small: 10 x 300 pixels" in said and len(said) == 6


def test_of_equal_pictures_the_one_with_a_caption_is_taken(folder):
    save(folder, "z.jpg", (90, 60))
    (folder / "z.txt").write_text("[V] at dusk")
    found = own.read_pictures(folder, "corgi", 64)
    assert [i.file.name for i in found.items] == ["b.PNG", "z.jpg"] and left(found) == {
        "a.jpg": "the same picture as z.jpg"
    }
    (folder / "a.txt").write_text("[V] at noon")
    found = own.read_pictures(folder, "corgi", 64)
    assert left(found) == {"z.jpg": "the same picture as a.jpg (with another caption)"}


def test_a_folder_without_a_usable_picture_says_all_the_reasons(tmp_path):
    save(tmp_path, ".hidden.png")
    (tmp_path / "a.heic").write_bytes(b"x")
    with pytest.raises(UserError, match=r"no pictures; put .*\.hidden\.png: hidden; a\.heic: \.heic is not read"):
        own.read_pictures(tmp_path, "corgi", 64)


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.csv"])
def test_what_a_manifest_does_not_name_is_said(folder, name):
    text = {"metadata.jsonl": '{"file_name": "a.jpg", "text": "[V]"}', "metadata.csv": "file_name,text\na.jpg,[V]"}[
        name
    ]
    (folder / name).write_text(text)
    (folder / "a.txt").write_text("[V] from a text")
    found = own.read_pictures(folder, "corgi", 64)
    assert [list(i.captions.values()) for i in found.items] == [["[V]"]]
    assert left(found) == {"b.PNG": f"{name} does not name it", "a.txt": f"{name} gives the captions"}


def test_a_text_beside_fills_what_a_manifest_leaves_open(folder, monkeypatch):
    (folder / "metadata.csv").write_text("file_name,text\na.jpg,[V] of the table\nb.PNG,")
    (folder / "b.txt").write_text("[V] of the text")
    monkeypatch.chdir(folder)
    found = own.read_pictures(Path("."), "corgi", 64)
    assert [list(i.captions.values()) for i in found.items] == [["[V] of the table"], ["[V] of the text"]]
    assert found.left == []


def test_of_two_manifests_the_first_is_read_and_the_other_is_said(folder):
    (folder / "metadata.jsonl").write_text('{"file_name": "a.jpg", "text": "[V]"}')
    (folder / "metadata.csv").write_text("file_name,text\nb.PNG,x")
    assert left(own.read_pictures(folder, "corgi", 64))["metadata.csv"] == "metadata.jsonl is read instead"
    row = {"class_name": "dog", "local_path_list": ["b.PNG"], "h*w": "80*48", "short_en": "[V]"}
    (folder / "data.jsonl").write_text(json.dumps(row))
    found = own.read_pictures(folder, "corgi", None, background="black")
    assert [(i.file.name, i.size, i.background) for i in found.items] == [("b.PNG", (80, 48), "black")]
    assert left(found) == {
        "a.jpg": "data.jsonl does not name it",
        "metadata.jsonl": "data.jsonl is read instead",
        "metadata.csv": "data.jsonl is read instead",
    }


def test_a_picture_that_a_manifest_names_must_be_readable(folder):
    (folder / "metadata.jsonl").write_text('{"file_name": "a.jpg", "text": "[V]"}')
    (folder / "a.jpg").write_bytes((folder / "a.jpg").read_bytes()[:400])
    with pytest.raises(UserError, match=r"a\.jpg: not a readable image"):
        own.read_pictures(folder, "corgi", 64)


def test_what_is_done_to_pictures_is_said(tmp_path):
    save(tmp_path, "glass.png", mode="RGBA", value=(0, 0, 0, 0))
    save(tmp_path, "bad.png", value="blue", icc_profile=b"x")
    save(tmp_path, "pano.png", (640, 64), "green")
    save(tmp_path, "small.png", (16, 16), "white")
    save(tmp_path, "ink.jpg", mode="CMYK", value=(1, 2, 3, 4))
    save(tmp_path, "moving.gif", save_all=True, append_images=[Image.new("RGB", (64, 64), "navy")])
    found = own.read_pictures(tmp_path, "corgi", 64, "#102030")
    assert found.notes == [
        "1 with transparency: laid on #102030",
        "1 with a colour profile that cannot be used, taken as sRGB: bad.png",
        "1 in CMYK without a profile: colours may be off",
        "1 with several frames or pages: the first is taken",
        "pano.png: 80% of it is cut off (640 x 64 to 96 x 48); crop it by hand to what matters",
        "1 small: enlarged up to 4.0 times",
    ]
    glass = next(i for i in found.items if i.file.name == "glass.png")
    assert glass.image().getpixel((5, 5)) == (16, 32, 48)
    with pytest.raises(UserError, match="background 'clear': no colour"):
        own.read_pictures(tmp_path, "corgi", 64, "clear")


def test_captions_that_do_not_name_v_are_said(folder):
    (folder / "a.txt").write_text("sks outdoors")
    assert own.read_pictures(folder, "corgi", 64).said()[:2] == [
        "2 pictures taken, 1 with captions",
        "captions of 1 do not name [V]",
    ]


def test_a_large_set_is_listed_by_headers_with_some_decoded_as_a_check(tmp_path, monkeypatch):
    for i in range(30):
        save(tmp_path, f"{i:02d}.png", (32, 32), (i, 0, 0))
    decoded = []
    monkeypatch.setattr(own, "DECODED", 10)
    monkeypatch.setattr(own, "opened", lambda file, _: decoded.append(file.name))
    found = own.read_pictures(tmp_path, "corgi", 32)
    assert len(found.items) == 30 and decoded == [f"{i:02d}.png" for i in range(0, 30, 3)]
    assert found.notes == ["10 of 30 decoded as a check, the rest when they are trained on"]
