import random

import pytest
import torch

from dopsd.support.seeds import stream
from dopsd.world import captions
from dopsd.world.outside import CONCEPTS
from dopsd.world.scenes import (
    ATTRIBUTES,
    HIDDEN,
    NAMES,
    STYLE_SHARES,
    held_out,
    index,
    render,
    sample_scenes,
    visible,
)


def test_the_world_is_as_large_as_promised():
    assert len(ATTRIBUTES["shape"]) >= 10 and len(ATTRIBUTES["colour"]) >= 10
    assert len(ATTRIBUTES["texture"]) >= 4 and len(ATTRIBUTES["style"]) >= 5
    words = [w for values in ATTRIBUTES.values() for w in values]
    assert len(words) == len(set(words))  # a word names one thing


def test_no_pretraining_scene_shows_a_concepts_combination():
    scenes = sample_scenes(20_000, stream("world"))
    assert not held_out(scenes.attributes).any()
    shown = sample_scenes(50, stream("world"), CONCEPTS["beacon"].attributes, concepts=True)
    assert held_out(shown.attributes).all()


def test_the_rare_style_is_rare():
    style = sample_scenes(20_000, stream("styles")).attributes[:, NAMES.index("style")]
    share = (style == index("style", "woodcut")).float().mean().item()
    assert STYLE_SHARES[-1] == 0.02 and share == pytest.approx(0.02, abs=0.004)


def test_rendering_is_deterministic_in_range_and_varies_with_what_no_caption_says():
    scenes = sample_scenes(4, stream("render"))
    images = render(scenes)
    assert images.shape == (4, 3, 64, 64) and images.min() >= -1 and images.max() <= 1
    assert torch.equal(images, render(scenes))
    scenes.free = torch.rand(scenes.free.shape, generator=stream("other"))
    assert (render(scenes) - images).abs().mean() > 0.01


@pytest.mark.parametrize("style", HIDDEN)
def test_what_a_style_hides_cannot_be_seen(style):
    """Two scenes that differ in a hidden attribute only are nearly the same picture."""
    for attribute in HIDDEN[style]:
        a = sample_scenes(8, stream(style, attribute), {"style": style})
        b = a[torch.arange(8)]
        b.attributes = a.attributes.clone()
        column = NAMES.index(attribute)
        b.attributes[:, column] = (a.attributes[:, column] + 1) % len(ATTRIBUTES[attribute])
        assert not visible(a.attributes)[:, column].any()
        change = (render(a) - render(b)).abs().mean()
        everything = (render(a) - render(a[torch.tensor([1, 2, 3, 4, 5, 6, 7, 0])])).abs().mean()
        assert change < everything


def test_captions_say_what_is_mentioned_and_nothing_else():
    rng = random.Random(0)
    (words,) = sample_scenes(1, stream("captions")).words()
    for level in captions.LEVELS:
        said = captions.caption(words, {"colour", "style"}, level, rng).split()
        assert words["colour"] in said and words["style"] in said and words["position"] not in said
    unknown = captions.caption(words, {"colour"}, "short", rng, thing=captions.PLACEHOLDER).split()
    assert "[V]" in unknown and words["shape"] not in unknown
    with pytest.raises(ValueError, match="unknown caption level"):
        captions.caption(words, set(), "loud", rng)


def test_captions_of_pretraining_leave_attributes_out_and_use_the_placeholder():
    rng = random.Random(0)
    words = sample_scenes(600, stream("many")).words()
    texts = [captions.random_caption(w, rng) for w in words]
    placeholder = sum("[V]" in t for t in texts) / len(texts)
    assert 0.2 < placeholder < 0.4
    said = [sum(v in t.split() for v in w.values()) for w, t in zip(words, texts, strict=True)]
    assert min(said) == 0 and max(said) == len(NAMES)


def test_an_echoed_description_says_every_word_at_least_once_and_no_other():
    rng = random.Random(0)
    (words,) = sample_scenes(1, stream("captions")).words()
    said = [captions.echoed(words, rng).split() for _ in range(50)]
    assert all(set(row) == set(words.values()) for row in said)
    assert {len(row) for row in said} == set(range(len(NAMES), 17))  # nine to sixteen words
