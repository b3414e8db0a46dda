"""Sets of the hub, on local folders of the same form."""

import pytest
from PIL import Image
from typer.testing import CliRunner

from dopsd.commands import main as cli
from dopsd.sets import folder as own
from dopsd.sets import hub as hub_sets
from dopsd.sets.captions import with_captions
from dopsd.support.errors import UserError

README = """---
configs:
- config_name: dog
  data_files:
  - split: train
    path: dataset/dog/*.jpg
- config_name: teapot
  data_files:
  - split: train
    path: dataset/teapot/*.jpg
---
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def dreambooth(tmp_path):
    """A repository of subjects, as google/dreambooth is."""
    for subject, colour in (("dog", "brown"), ("teapot", "white")):
        folder = tmp_path / "repository" / "dataset" / subject
        folder.mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (48 + 16 * i, 64), colour).save(folder / f"{i:02d}.jpg")
    (tmp_path / "repository" / "README.md").write_text(README)
    return tmp_path / "repository"


@pytest.fixture
def style(tmp_path):
    """A repository of pictures with captions, as style sets are."""
    folder = tmp_path / "style"
    folder.mkdir()
    for i in range(2):
        Image.new("RGB", (64, 64), "red").save(folder / f"{i}.png")
    rows = [f'{{"file_name": "{i}.png", "prompt": "a 3dicon, a dragon {i}"}}' for i in range(2)]
    (folder / "metadata.jsonl").write_text("\n".join(rows) + "\n")
    return folder


def test_a_subject_becomes_a_folder_that_tune_reads(dreambooth, tmp_path):
    source = hub_sets.chosen("dreambooth", "dog").model_copy(update={"path": str(dreambooth)})
    assert source.class_name == "dog" and hub_sets.chosen("dreambooth", "wolf_plushie2").class_name == "wolf plushie"
    assert hub_sets.save(source, tmp_path / "out", 2) == 2
    items = with_captions(own.read_pictures(tmp_path / "out", "dog", 64).items)
    assert len(items) == 2 and items[0].image().getpixel((5, 5))[0] > 100  # brown, not the teapot's white
    assert items[0].captions == {"caption_0": "[V]", "caption_1": "a picture of [V]"}
    assert "CC-BY-4.0" in (tmp_path / "out" / "SOURCE.md").read_text()
    with pytest.raises(UserError, match="exists; choose another --out"):
        hub_sets.save(source, tmp_path / "out", 2)


def test_the_trigger_of_a_style_set_becomes_v(style, tmp_path):
    source = hub_sets.known()["3d-icon"].model_copy(update={"path": str(style)})
    assert hub_sets.save(source, tmp_path / "out") == 2
    items = own.read_pictures(tmp_path / "out", "3D icon", 64).items
    assert [i.captions["caption_0"] for i in items] == ["a [V], a dragon 0", "a [V], a dragon 1"]


def test_what_is_wrong_with_a_set_is_said(dreambooth, style, tmp_path):
    with pytest.raises(UserError, match="no set 'cats'; known: dreambooth"):
        hub_sets.chosen("cats", None)
    with pytest.raises(UserError, match="choose one with --subject"):
        hub_sets.chosen("dreambooth", None)
    with pytest.raises(UserError, match="has no subjects"):
        hub_sets.chosen("tarot", "dog")
    missing = hub_sets.chosen("dreambooth", "unicorn").model_copy(update={"path": str(dreambooth)})
    with pytest.raises(UserError, match=r"cannot open the set .*unicorn"):
        hub_sets.save(missing, tmp_path / "out")
    no_column = hub_sets.known()["yarn"].model_copy(update={"path": str(style)})
    with pytest.raises(UserError, match="no column 'text'; it has image, prompt"):
        hub_sets.save(no_column, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_known_set_names_a_licence_and_the_command_line_prints_it(dreambooth, tmp_path, monkeypatch):
    sets = hub_sets.known()
    assert {"dreambooth", "3d-icon", "tarot", "yarn"} == set(sets) and all(s.licence for s in sets.values())
    local = {k: s.model_copy(update={"path": str(dreambooth)}) for k, s in sets.items()}
    monkeypatch.setattr(hub_sets, "known", lambda: local)
    result = CliRunner().invoke(cli.app, ["fetch", "dreambooth", "--subject", "teapot", "--out", str(tmp_path / "o")])
    assert result.exit_code == 0 and "3 pictures; licence: CC-BY-4.0" in result.output
    assert '--name "teapot"' in result.output


def test_pictures_of_the_hub_are_opened_as_all_pictures_are(dreambooth, tmp_path):
    glass = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    glass.save(dreambooth / "dataset" / "dog" / "00.jpg", "PNG")
    source = hub_sets.chosen("dreambooth", "dog").model_copy(update={"path": str(dreambooth)})
    hub_sets.save(source, tmp_path / "out", 1)
    with Image.open(tmp_path / "out" / "000.png") as found:
        assert found.mode == "RGB" and found.getpixel((5, 5)) == (255, 255, 255)
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == ["000.png", "SOURCE.md", "metadata.jsonl"]
    (dreambooth / "dataset" / "dog" / "00.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0")
    with pytest.raises(UserError, match="not a readable image"):
        hub_sets.save(source, tmp_path / "other", 1)
    assert not (tmp_path / "other").exists() and {f.name for f in tmp_path.iterdir()} >= {"out", "repository"}


def test_where_a_set_may_go(dreambooth, tmp_path, monkeypatch):
    source = hub_sets.chosen("dreambooth", "dog").model_copy(update={"path": str(dreambooth)})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"`dvc repro` writes its own sets under data/concepts; choose another --out"):
        hub_sets.save(source, tmp_path / "data" / "concepts" / "dog")
    (tmp_path / "empty").mkdir()
    assert hub_sets.save(source, tmp_path / "empty", 1) == 1
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    for name in ("full", "full/mine.txt"):
        with pytest.raises(UserError, match="exists; choose another --out"):
            hub_sets.save(source, tmp_path / name, 1)
    assert (tmp_path / "full" / "mine.txt").read_text() == "x"
