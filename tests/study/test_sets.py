"""A study's sets, from a folder, the hub or the world, all read in one way."""

import pytest
from PIL import Image

from dopsd.config.sets import ImageSet
from dopsd.config.study import Fetch
from dopsd.sets import hub
from dopsd.sets.jsonl import read_set
from dopsd.study.sets import write_concept
from dopsd.support.errors import UserError


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, size in (("b.jpg", (80, 60)), ("a.png", (64, 64))):
        Image.new("RGB", size, "red").save(folder / name)
    (folder / "a.txt").write_text("[V] outdoors\n[V] on grass")
    return folder


def test_a_folder_becomes_a_set_of_the_releases_format(photos, tmp_path):
    settings = Fetch(size=64, folders={"corgi": {"images": str(photos), "name": "my corgi"}})
    write_concept("corgi", settings, tmp_path / "out" / "corgi")
    a, b = read_set(tmp_path / "out" / "corgi" / "data.jsonl")
    assert (a.size, b.size) == ((64, 64), (48, 64)) or b.size[0] < b.size[1]
    assert a.captions == {"short_en": "[V] outdoors", "medium_en": "[V] on grass"} and a.class_name == "my corgi"
    assert set(b.captions.values()) == {"[V]", "a picture of [V]"}  # of a picture without captions
    assert a.file.read_bytes() == (photos / "a.png").read_bytes()
    assert settings.kind("corgi") == "object" and settings.kind("beacon") is None


def test_a_set_of_one_shape_has_that_of_most_of_its_pictures(photos, tmp_path, capsys):
    Image.new("RGB", (96, 72), "blue").save(photos / "c.png")
    settings = Fetch(size=64, folders={"corgi": {"images": str(photos), "name": "my corgi"}})
    write_concept("corgi", settings, tmp_path / "corgi", one_shape=True)
    sizes = {item.size for item in read_set(tmp_path / "corgi" / "data.jsonl")}
    assert len(sizes) == 1 and (64, 64) not in sizes
    assert "which most have: a method draws pictures of the class" in capsys.readouterr().out


def test_a_set_of_the_hub_by_datasets(photos, tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (photos / "a.txt").unlink()
    source = {"path": str(photos), "revision": None, "configuration": "default", "split": "train", "image": "image"}
    source |= {"caption": None, "trigger": None, "class_name": "dog", "licence": "CC-BY-4.0"}
    monkeypatch.setattr(hub, "known", lambda: {"photos": ImageSet(**source)})
    settings = Fetch(size=64, hub={"dog": {"set": "photos", "pictures": 1, "kind": "style"}})
    write_concept("dog", settings, tmp_path / "dog")
    (item,) = read_set(tmp_path / "dog" / "data.jsonl")
    assert item.class_name == "dog" and settings.kind("dog") == "style"


def test_a_concept_of_nowhere_says_where_it_could_come_from(tmp_path):
    with pytest.raises(UserError, match=r"'corgi' is in neither fetch\.folders nor fetch\.hub.*known: beacon"):
        write_concept("corgi", Fetch(), tmp_path / "corgi")
