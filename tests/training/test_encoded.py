"""Encoded sets, with encoders that say what they were asked."""

import hashlib
import json
import os
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from dopsd.method.context import Condition
from dopsd.sets.items import Item
from dopsd.support import files, sealed
from dopsd.training import encoded
from dopsd.training.encoded import Encoded, Visit, content, digest, encode, model_content


class Settings(SimpleNamespace):
    def model_dump(self, exclude=()):
        return dict(vars(self))


class Encoders:
    """Latents are the picture's mean; features count the prompt's letters, plus 100 where a picture was seen."""

    def __init__(self, **settings):
        self.settings, self.asked, self.freed = Settings(**settings), [], 0

    def encode(self, images):
        assert images.dim() == 4 and len(images) == 1
        return images.mean((2, 3), keepdim=True)

    def context(self, prompts, images=None, references=None):
        self.asked.append((list(prompts), images, references))
        seen = images or [None] * len(prompts)
        pictures = references or [()] * len(prompts)
        return [
            Condition(
                torch.full((2, 3), len(p) + (100.0 if s else 0.0)), tuple(torch.full((1,), float(r.width)) for r in rs)
            )
            for p, s, rs in zip(prompts, seen, pictures, strict=True)
        ]

    def free_encoders(self):
        self.freed += 1


@pytest.fixture
def item(tmp_path):
    return make(tmp_path, "a")


def make(folder, name, shade=255, size=(32, 48), inputs=()) -> Item:
    file = folder / f"{name}.png"
    Image.new("RGB", size[::-1], (shade, 0, 0)).save(file)
    return Item(file, size, {"short_en": "one", "medium_en": "three"}, "corgi", inputs)


def test_a_digest_is_of_what_is_in_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert digest(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()[:16]


def test_an_items_content_is_all_but_where_it_lies(tmp_path, item):
    (tmp_path / "elsewhere").mkdir()
    assert content(item) == content(make(tmp_path / "elsewhere", "other"))
    assert content(item) == {"image": digest(item.file), "inputs": [], "size": (32, 48), "captions": item.captions}
    assert content(replace(item, background="black")) == content(item) | {"background": "black"}
    edited = make(tmp_path, "b", inputs=(item.file, item.file))
    assert content(edited)["inputs"] == [digest(item.file)] * 2
    assert content(item) != content(make(tmp_path, "c", shade=254))


def test_a_models_content_is_its_settings_and_its_encoders_files(tmp_path):
    for part in ("transformer", "text_encoder"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "model.safetensors").write_bytes(b"12345")
        (tmp_path / part / "config.json").touch()
    os.utime(tmp_path / "text_encoder" / "model.safetensors", ns=(7, 9))
    kept = [("text_encoder/model.safetensors", 5, 9)]
    assert model_content(Settings(model=str(tmp_path), vlm="Qwen/none", dtype="x")) == {
        "model": str(tmp_path),
        "vlm": "Qwen/none",
        "dtype": "x",
        "model files": kept,
    }
    assert model_content(Settings(vlm=str(tmp_path)))["vlm files"] == kept
    assert model_content(Settings(model=None)) == {"model": None}


def test_an_item_is_encoded_with_each_caption(item):
    encoders = Encoders()
    tensors = encode(encoders, item, True)
    assert tensors["latents"].shape == (3, 1, 1) and tensors["latents"].flatten().tolist() == [1.0, -1.0, -1.0]
    assert {k: v[0, 0].item() for k, v in tensors.items() if k != "latents"} == {
        "student.0": 3.0,
        "student.1": 5.0,
        "teacher.0": 103.0,
        "teacher.1": 105.0,
    }
    (texts, none, _), (same, images, references) = encoders.asked
    assert texts == same == ["one", "three"] and none is None and references is None
    assert len(images) == 2 and all(image.size == (48, 32) for image in images)
    assert "teacher.0" not in encode(Encoders(), item, False)


def test_editing_shows_the_input_pictures_to_both(tmp_path, item):
    edited = make(tmp_path, "b", inputs=(item.file, make(tmp_path, "c", size=(64, 64)).file))
    encoders = Encoders()
    tensors = encode(encoders, edited, True)
    for _, _, references in encoders.asked:
        assert [[r.width for r in pictures] for pictures in references] == [[r.width for r in edited.references()]] * 2
    for who in ("student", "teacher"):
        for i in range(2):
            widths = [tensors[f"{who}.{i}.{j}"].item() for j in range(2)]
            assert widths == [r.width for r in edited.references()]
            assert f"{who}.{i}.2" not in tensors


def test_a_set_is_visits_in_buckets_of_one_size(tmp_path):
    items = [make(tmp_path, "a"), make(tmp_path, "b", size=(64, 64)), make(tmp_path, "c", shade=0)]
    encoders = Encoders()
    data = Encoded(encoders, items, True)
    assert encoders.freed == 1
    assert {size: len(images) for size, images in data.visits.items()} == {(32, 48): 2, (64, 64): 1}
    first, second = data.visits[32, 48][0]
    assert first.latents[0].item() == 1.0 and data.visits[32, 48][1][0].latents[0].item() == -1.0
    assert (first.student.features[0, 0], first.teacher.features[0, 0]) == (3.0, 103.0)
    assert (second.student.features[0, 0], second.teacher.features[0, 0]) == (5.0, 105.0)
    assert first.student.references == ()
    blind = Encoded(Encoders(), items, False).visits[64, 64][0]
    assert [v.teacher for v in blind] == [None, None] and blind[1].student.features[0, 0] == 5.0


def test_reference_pictures_come_back_in_their_order(tmp_path, item):
    inputs = tuple(make(tmp_path, n, size=s).file for n, s in (("x", (16, 64)), ("y", (64, 16)), ("z", (32, 32))))
    edited = make(tmp_path, "b", inputs=inputs)
    for cache in (None, tmp_path / "cache"):
        ((visits,),) = Encoded(Encoders(), [edited], True, cache).visits.values()
        for visit in visits:
            for condition in (visit.student, visit.teacher):
                assert [r.item() for r in condition.references] == [r.width for r in edited.references()]


def test_a_cache_is_used_again_and_only_for_what_it_is_of(tmp_path, item):
    cache = tmp_path / "deep" / "cache"

    def asked(item=item, with_teacher=True, **settings):
        encoders = Encoders(**settings)
        data = Encoded(encoders, [item], with_teacher, cache)
        ((visits,),) = data.visits.values()
        assert visits[1].student.features[0, 0] == 5.0 and visits[0].latents[0] == 1.0
        assert (visits[1].teacher is not None) == with_teacher
        return len(encoders.asked)

    assert asked() == 2 and asked() == 0
    (file,) = cache.iterdir()
    assert len(file.name) == 16 and {f.name for f in file.iterdir()} == {encoded.FILE, sealed.FILE}
    with safe_open(file / encoded.FILE, "pt") as opened:
        assert json.loads(opened.metadata()["captions"]) == item.captions
    assert asked(with_teacher=False) == 1 and asked(layer=-3) == 2
    moved = Item(item.file, item.size, item.captions, "another name")
    assert asked(moved) == 0
    said = Item(item.file, item.size, {"short_en": "eleven", "medium_en": "three"}, "corgi")
    assert asked(said) == 2
    assert len(list(cache.iterdir())) == 4


@pytest.mark.parametrize("other", ["captions", "model"])
def test_kept_features_of_other_captions_or_of_another_model_are_not_taken(tmp_path, item, other):
    said = replace(item, captions={"short_en": "eleven", "medium_en": "three"}) if other == "captions" else item
    Encoded(Encoders(), [item], True, tmp_path / "mine")
    Encoded(Encoders(**({"layer": -3} if other == "model" else {})), [said], True, tmp_path / "theirs")
    (mine,), (theirs,) = ((tmp_path / whose).iterdir() for whose in ("mine", "theirs"))
    files.replace(theirs, mine)
    encoders = Encoders()
    Encoded(encoders, [item], True, tmp_path / "mine")
    assert len(encoders.asked) == 2


def test_a_cache_file_appears_whole(tmp_path, item, monkeypatch):
    written = []

    def broken(tensors, file, metadata):
        written.append(Path(file).name)
        Path(file).touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(encoded, "save_file", broken)
    with pytest.raises(KeyboardInterrupt):
        Encoded(Encoders(), [item], True, tmp_path / "cache")
    assert written == [encoded.FILE] and not list((tmp_path / "cache").iterdir())


def test_a_bar_shows_how_sets_of_several_pictures_are_encoded(tmp_path, monkeypatch):
    bars = []
    monkeypatch.setattr(encoded, "progress", lambda items, **how: bars.append(how) or items)
    items = [make(tmp_path, "a"), make(tmp_path, "b")]
    for n in (1, 2):
        Encoded(Encoders(), items[:n], False)
    assert bars == [{"desc": "encode", "leave": False, "shown": n > 1} for n in (1, 2)]


def test_draws_are_of_one_bucket_by_its_size_and_uniform_inside():
    data = object.__new__(Encoded)

    def image(name):
        return [Visit(torch.tensor(name), caption, None) for caption in (0, 1)]

    data.visits = {(1, 1): [image(0)], (2, 2): [image(1), image(2), image(3)]}
    rng, images, captions = random.Random(0), Counter(), Counter()
    for _ in range(2000):
        drawn = data.draw(4, rng)
        assert len(drawn) == 4
        who = {v.latents.item() for v in drawn}
        assert who == {0} or 0 not in who
        images.update(v.latents.item() for v in drawn)
        captions.update(v.student for v in drawn)
    assert all(abs(images[i] / 8000 - 0.25) < 0.03 for i in range(4))
    assert abs(captions[0] / 8000 - 0.5) < 0.03
    assert [v.latents for v in data.draw(9, random.Random(5))] == [v.latents for v in data.draw(9, random.Random(5))]


def test_a_teacher_is_shown_other_pictures_in_turn_and_nothing_of_it_is_kept(tmp_path):
    items = [make(tmp_path, name, shade) for name, shade in (("a", 10), ("b", 20), ("c", 30))]
    others = [make(tmp_path, name, shade) for name, shade in (("d", 40), ("e", 50))]
    encoders, cache = Encoders(), tmp_path / "cache"
    data = Encoded(encoders, items, True, cache, others)
    seen = [images[0].getpixel((0, 0))[0] for _, images, _ in encoders.asked if images]
    assert seen == [40, 50, 40] and not cache.exists()
    ((*visits,),) = data.visits.values()
    assert [round(v.latents[0].item() * 127.5 + 127.5) for (v, _) in visits] == [
        10,
        20,
        30,
    ]  # the target is the item's own
    own = Encoders()
    Encoded(own, items, True, cache)
    assert [images[0].getpixel((0, 0))[0] for _, images, _ in own.asked if images] == [10, 20, 30]
