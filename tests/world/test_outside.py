import json
from collections import Counter

import pytest
import torch

from dopsd.support.seeds import stream
from dopsd.world.concepts import concept_scenes, load_training, pictures, write_concept_set
from dopsd.world.looks import LOOKS
from dopsd.world.outside import CONCEPTS, DOMAIN, HELD_OUT, OUTSIDE, UNNAMED
from dopsd.world.scenes import ATTRIBUTES, holds, render, sample_scenes


def test_objects_are_balanced_so_that_no_attribute_decides():
    objects = [c.attributes for c in CONCEPTS.values() if c.kind == "object"]
    assert len(objects) == 12
    assert set(Counter(o["outline"] for o in objects).values()) == {4}
    assert set(Counter(o["texture"] for o in objects).values()) == {3}
    for a in ("shape", "colour"):
        counts = Counter(o[a] for o in objects)
        assert set(counts) == set(ATTRIBUTES[a]) and max(counts.values()) <= 2


def test_six_styles_show_their_backgrounds_and_all_combinations_differ():
    styles = [c.attributes for c in CONCEPTS.values() if c.kind == "style"]
    assert Counter(s["style"] for s in styles) == {"watercolour": 2, "mosaic": 2, "photo": 2}
    combinations = [tuple(c.attributes.items()) for c in HELD_OUT]
    assert len(combinations) == len(set(combinations)) == 19


def test_pretraining_shows_none_of_them():
    scenes = sample_scenes(20_000, stream("outside"))
    assert not any(holds(scenes.attributes, c.attributes).any() for c in HELD_OUT)


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_without_words_changes_pictures_and_stays_in_range(look):
    plain = render(sample_scenes(4, stream("look")))
    image = LOOKS[look](plain)
    assert image.shape == plain.shape and image.min() >= -1 and image.max() <= 1
    assert (image - plain).abs().mean() > 0.2 and torch.equal(image, LOOKS[look](plain))


def test_a_set_of_the_unnamed_look_says_the_name_and_no_style(tmp_path):
    write_concept_set(UNNAMED.name, tmp_path, images=3, seed=0)
    for line in (tmp_path / "data.jsonl").read_text().splitlines():
        texts = [v for k, v in json.loads(line).items() if k.endswith("_en")]
        assert all("[V]" in t and not set(t.split()) & set(ATTRIBUTES["style"]) for t in texts)
    training = load_training(tmp_path)
    scenes = concept_scenes(UNNAMED, 3, stream("x"))
    assert (pictures(UNNAMED, scenes) - render(scenes)).abs().mean() > 0.2
    assert training.images.shape == (3, 3, 64, 64)


def test_a_domain_has_a_thousand_pictures_and_no_prompt_names_it(tmp_path):
    assert OUTSIDE["nocturne"] is DOMAIN
    scenes = concept_scenes(DOMAIN, 1000, stream("domain"))
    assert len(scenes.attributes.unique(dim=0)) == 1000 and holds(scenes.attributes, DOMAIN.attributes).all()
    write_concept_set("nocturne", tmp_path, images=2, seed=0)
    text = (tmp_path / "data.jsonl").read_text()
    row = json.loads(text.splitlines()[0])
    said = {w for k, v in row.items() if k.endswith("_en") for w in v.split()}
    assert "[V]" not in said and not said & set(DOMAIN.attributes.values())
