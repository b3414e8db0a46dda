"""What the commands say of the pictures before anything runs, and what they make of their captions."""

import pytest
from PIL import Image

from dopsd.commands import captions
from dopsd.commands.main import _captioned, _pictures
from dopsd.config.params import load_preset
from dopsd.support.errors import UserError


def given(preset, folder, captions, out, **tune):
    """What of a folder is trained on: what is said of it, and the pictures with captions."""
    preset = preset.model_copy(update={"tune": preset.tune.model_copy(update=tune)})
    found = _pictures(preset, folder, "dog", captions, out)
    return found, _captioned(preset, found, captions, out)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, value in (("a.png", "red"), ("b.png", "blue")):
        Image.new("RGB", (64, 64), value).save(folder / name)
    (folder / ".c.png").write_bytes((folder / "a.png").read_bytes())
    (folder / "a.txt").write_text("a photo of sks")
    return folder


@pytest.fixture
def preset(all_settings):
    return load_preset("zimage", ["tune.size=64"]).model_copy(update={"backbone": all_settings["zimage"]})


def test_what_is_taken_and_left_out_is_printed_before_anything_runs(photos, preset, capsys):
    found, items = given(preset, photos, "name", photos / "tuned")
    assert capsys.readouterr().out.splitlines() == [
        f"{photos}: 2 pictures taken, 1 with captions",
        f"{photos}: captions of 1 do not name [V]",
        f"{photos}: left out: .c.png: hidden",
        "1 without a caption (b.png): --captions name",
    ]
    assert [list(i.captions.values()) for i in items] == [["a photo of sks"], ["[V]", "a picture of [V]"]]
    assert found.left == [(photos / ".c.png", "hidden")]


def test_another_trigger_word_and_a_background(photos, preset, capsys):
    Image.new("RGBA", (64, 64)).save(photos / "d.png")
    _, items = given(preset, photos, "name", photos / "tuned", background="#00ff00", trigger="sks")
    assert items[0].captions == {"caption_0": "a photo of [V]"}
    assert items[2].image().getpixel((1, 1)) == (0, 255, 0)
    said = capsys.readouterr().out
    assert "captions: 'sks' is read as [V], the word that is trained" in said
    assert "1 with transparency: laid on #00ff00" in said and "do not name" not in said


def test_the_vlms_captions_are_kept_under_its_name(photos, preset, tmp_path, monkeypatch):
    monkeypatch.setattr(captions, "writer", lambda settings: lambda item: "[V] on a wall")
    _, items = given(preset, photos, "vlm", tmp_path / "out")
    assert items[1].captions == {"caption_0": "[V] on a wall"}
    monkeypatch.setattr(captions, "writer", lambda settings: pytest.fail("asked again"))
    assert given(preset, photos, "vlm", tmp_path / "out")[1] == items
    other = preset.backbone.model_copy(update={"vlm_revision": "other"})
    monkeypatch.setattr(captions, "writer", lambda settings: lambda item: "[V] of another eye")
    _, again = given(preset.model_copy(update={"backbone": other}), photos, "vlm", tmp_path / "out")
    assert again[1].captions == {"caption_0": "[V] of another eye"}


def test_captions_by_nobody_are_refused_before_a_picture_is_read(preset, all_settings, tmp_path):
    with pytest.raises(UserError, match="--captions 'blip'; choose name or vlm"):
        given(preset, tmp_path / "none", "blip", tmp_path)
    blind = preset.model_copy(update={"backbone": all_settings["klein"]})
    with pytest.raises(UserError, match="needs a backbone with a VLM"):
        given(blind, tmp_path / "none", "vlm", tmp_path)
