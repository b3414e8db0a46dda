"""Captions of every habit, the word that names the concept, and captions that a VLM wrote."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dopsd.sets.captions import beside, kept, metadata, renamed, with_captions, with_placeholder
from dopsd.sets.items import Item
from dopsd.support.errors import UserError


def wrote(folder, **texts):
    for name, text in texts.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return sorted(folder.glob("*.txt")) + sorted(folder.glob("*.caption"))


@pytest.mark.parametrize("name", ["a__txt", "a__jpg__txt", "a__caption", "a__jpg__caption", "a__TXT"])
def test_a_text_of_any_habit_is_read(tmp_path, name):
    wrote(tmp_path, **{name: "\ufeff[V] one\r\n\r\n[V] two\r\n"})
    texts = list(tmp_path.iterdir())
    assert beside([tmp_path / "a.jpg"], texts) == ({tmp_path / "a.jpg": ["[V] one", "[V] two"]}, [])


def test_of_several_the_first_is_taken_and_the_others_are_said(tmp_path):
    texts = wrote(tmp_path, a__txt="one", a__jpg__txt="two", a__caption="one", b__txt="lonely")
    found, left = beside([tmp_path / "a.jpg", tmp_path / "c.jpg"], texts)
    assert found == {tmp_path / "a.jpg": ["one"], tmp_path / "c.jpg": []}
    assert {f.name: why for f, why in left} == {
        "a.jpg.txt": "a.txt is taken instead",
        "a.caption": "a.txt says the same",
        "b.txt": "a caption without a picture: none of this name is taken",
    }


def test_two_pictures_of_one_name_have_their_own_texts_and_may_share_one(tmp_path):
    texts = wrote(tmp_path, a__txt="both", a__png__txt="png's")
    found, left = beside([tmp_path / "a.jpg", tmp_path / "a.png"], texts)
    assert found == {tmp_path / "a.jpg": ["both"], tmp_path / "a.png": ["both"]}
    assert left == [(tmp_path / "a.png.txt", "a.txt is taken instead")]


@pytest.fixture
def pictures(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (32, 32)).save(tmp_path / name)
    return tmp_path


def test_metadata_csv_is_read_as_tables_write_it(pictures):
    text = '\ufefffile_name,text,licence\r\na.jpg,"[V], on ""grass""",x\r\n\r\nb.jpg,,x\r\n'
    (pictures / "metadata.csv").write_bytes(text.encode())
    found, notes = metadata(pictures / "metadata.csv")
    assert {f.name: t for f, t in found.items()} == {"a.jpg": ['[V], on "grass"'], "b.jpg": []} and notes == []


def test_a_field_that_is_not_read_is_said(pictures):
    (pictures / "metadata.csv").write_text("file_name,prompt,caption\na.jpg,one,two\nb.jpg,one,two\n")
    found, notes = metadata(pictures / "metadata.csv")
    assert all(t == ["two"] for t in found.values())
    assert notes == ["metadata.csv: 'prompt' is not read: 'caption' is there"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("csv", "file_name,text,text\na.jpg,x,y", r"csv:1: a column stands twice; it has file_name, text, text"),
        ("csv", "file;text\na.jpg;x", r"csv:1: no column file_name; it has file;text; write file_name,text"),
        ("csv", "", r"csv:1: no column file_name"),
        ("csv", "file_name,text\na.jpg,x,y", r"csv:2: 3 fields, not 2; put a text with commas into quotes"),
        ("csv", 'file_name,text\na.jpg,"x', r"csv:2: not CSV"),
        ("csv", "file_name,text\n,x", r"csv:2: file_name: not a text; give the picture's path"),
        ("csv", "file_name,text\na.jpg,x\na.jpg,y", r"csv:3: file_name: 'a.jpg' stands in line 2 already"),
        ("csv", "file_name,text\n../a.jpg,x", r"csv:2: file_name: '../a.jpg' leads out of"),
        ("jsonl", '{"file_name": "a.jpg"}\n{"file_name": "./a.jpg"}', r"jsonl:2: .* stands in line 1 already"),
        ("jsonl", '{"filename": "a.jpg"}', r"jsonl:1: file_name: missing; .*did you mean 'filename'"),
        ("jsonl", '{"file_name": 3}', r"jsonl:1: file_name: not a text"),
        ("jsonl", '{"file_name": "c.jpg"}', r"jsonl:1: file_name: 'c.jpg' is not there"),
        ("jsonl", '{"file_name": "a\\u0000.jpg"}', r"jsonl:1: file_name: 'a\\x00.jpg'\.\.\. is no path"),
        ("jsonl", '{"file_name": "' + "a" * 300 + '.jpg"}', r"jsonl:1: file_name: .* is not there"),
        ("jsonl", '{"file_name": "a.jpg", "text": "x", "text": "y"}', r"jsonl:1: 'text' stands twice"),
        ("jsonl", '{"file_name": "a.jpg", "text": ["x", " "]}', r"jsonl:1: text: \['x', ' '\] is no caption"),
    ],
)
def test_a_broken_metadata_names_line_field_and_remedy(pictures, name, text, message):
    file = pictures / f"metadata.{name}"
    file.write_text(text)
    with pytest.raises(UserError, match=message):
        metadata(file)


def test_paths_of_windows_are_found(pictures):
    (pictures / "sub").mkdir()
    (pictures / "a.jpg").rename(pictures / "sub" / "a.jpg")
    (pictures / "metadata.jsonl").write_text(json.dumps({"file_name": "sub\\a.jpg", "text": "x"}))
    assert [f.name for f in metadata(pictures / "metadata.jsonl")[0]] == ["a.jpg"]


def item(folder, name="a.png", value="red", **captions):
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (16, 16), value).save(folder / name)
    return Item(folder / name, (16, 16), captions, "dog")


@pytest.mark.parametrize(
    ("text", "trigger", "wanted"),
    [
        ("a photo of sks dog", "sks", "a photo of [V] dog"),
        ("Sks, skspace and asks sks.", "sks", "[V], skspace and asks [V]."),
        ("yarn art style, a cat", "yarn art style", "[V], a cat"),
        ("一只柯基在草地上", "柯基", "一只[V]在草地上"),
        ("ohwx-man (ohwx)", "ohwx", "[V]-man ([V])"),
        ("a+b? c.d", "b?", "a+[V] c.d"),
        (r"\1 sks", "sks", r"\1 [V]"),
        ("[V] dog", "[V]", "[V] dog"),
    ],
)
def test_a_trigger_word_becomes_v_as_a_whole_word(text, trigger, wanted):
    assert with_placeholder(text, trigger) == wanted


WORDS = st.lists(st.sampled_from(["sks", "dog", "asks", "SKS", "sks2", "a", "[V]"]), min_size=1, max_size=8)


@given(WORDS, st.sampled_from([" ", ", ", "-", "\n"]))
def test_any_caption_keeps_all_its_other_words(words, between):
    found = with_placeholder(between.join(words), "sks").split(between)
    assert found == ["[V]" if w.lower() == "sks" else w for w in words]


@given(st.text(max_size=40), st.text(alphabet=st.characters(categories=["L", "N"]), min_size=1, max_size=4))
def test_without_the_trigger_nothing_changes(text, trigger):
    if not re.search(re.escape(trigger), text, re.IGNORECASE):
        assert with_placeholder(text, trigger) == text


def test_captions_that_name_another_trigger_are_renamed_and_a_trigger_that_none_names_is_an_error(tmp_path):
    one, two = item(tmp_path, "a.png", short_en="sks dog"), item(tmp_path, "b.png", short_en="a dog")
    assert [i.captions["short_en"] for i in renamed([one, two], "sks")] == ["[V] dog", "a dog"]
    with pytest.raises(UserError, match="--trigger 'zwx': no caption names it; check how it is written"):
        renamed([one, two], "zwx")
    with pytest.raises(UserError, match="--trigger: empty"):
        renamed([one], " ")


def test_written_captions_are_kept_for_the_next_process(tmp_path):
    one, asked = item(tmp_path), []

    def open_writer():
        return lambda i: asked.append(i.file.name) or "[V] outdoors"

    file = tmp_path / "out" / "captions.json"
    first = with_captions([one], kept(open_writer, file, "eye"))
    again = with_captions([one], kept(lambda: pytest.fail("the writer is opened again"), file, "eye"))
    assert first == again and asked == ["a.png"] and first[0].captions == {"caption_0": "[V] outdoors"}


def test_written_captions_belong_to_a_content_and_to_a_writer(tmp_path):
    file = tmp_path / "captions.json"
    a, b = item(tmp_path / "a", "1.png", "red"), item(tmp_path / "b", "1.png", "blue")
    said = with_captions([a, b], kept(lambda: lambda i: f"[V] of {i.file.parent.name}", file, "eye"))
    assert [i.captions["caption_0"] for i in said] == ["[V] of a", "[V] of b"]
    replaced = item(tmp_path / "a", "1.png", "green")
    (new,) = with_captions([replaced], kept(lambda: lambda _: "[V] anew", file, "eye"))
    assert new.captions["caption_0"] == "[V] anew"
    (other,) = with_captions([b], kept(lambda: lambda _: "[V] seen otherwise", file, "other eye"))
    assert other.captions["caption_0"] == "[V] seen otherwise"
    held = json.loads(file.read_text())
    assert {k: len(v) for k, v in held.items()} == {"eye": 3, "other eye": 1} and held["eye"][b.name] == "[V] of b"


def test_written_captions_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "captions.json"
    a, b = item(tmp_path, "a.png", "red"), item(tmp_path, "b.png", "blue")
    with_captions([a], kept(lambda: lambda _: "[V] one", file, "eye"))
    before = file.read_bytes()

    def full(self, text, **_):
        self.write_bytes(text.encode()[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(file), "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        with_captions([b], kept(lambda: lambda _: "[V] two", file, "eye"))
    assert file.read_bytes() == before and not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "captions.json: not JSON"),
        ("[]", "captions.json: list, not an object"),
        ('{"a.png": "[V] old form"}', "captions.json: 'a.png': no captions by their writer; move it away"),
        ('{"eye": {"a.png": 3}}', "captions.json: 'eye': 'a.png': 3 is no caption"),
    ],
)
def test_a_broken_file_of_captions_is_one_error(tmp_path, text, message):
    (tmp_path / "captions.json").write_text(text)
    with pytest.raises(UserError, match=message):
        kept(lambda: pytest.fail("opened"), tmp_path / "captions.json", "eye")
