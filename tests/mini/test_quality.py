"""The measuring of the miniature on readers and generators whose answer is known, and its bars on made-up scores."""

from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from torch import Tensor

from dopsd.evaluation.instruments.mini_clip import load_clip
from dopsd.evaluation.instruments.reader import load_reader
from dopsd.mini import degradations, eye, name_bars, observed, quality
from dopsd.mini.drawer import FEW, noise
from dopsd.support.seeds import stream
from dopsd.world import damage
from dopsd.world.lexicon import FREE, HEARD, LEXICON, PLACEHOLDER
from dopsd.world.outside import HELD_OUT
from dopsd.world.scenes import ATTRIBUTES, NAMES, holds, index, render, sample_scenes

THINGS = name_bars.KNOWN["shown_things"]


@pytest.fixture(scope="module")
def reader():
    return load_reader()


class Same:
    """A reader that finds the attributes that a drawer has put into a picture's corner."""

    def read(self, images: Tensor) -> Tensor:
        return images[:, 0, 0, : len(NAMES)].round().long()


def as_picture(attributes: Tensor) -> Tensor:
    images = torch.zeros(len(attributes), 3, 64, 64)
    images[:, 0, 0, : len(NAMES)] = attributes.float()
    return images


class Knows:
    """Draws what names mean; says which prompts it was asked. A free name is drawn as "thing" is, but for `odd`."""

    def __init__(self, odd: str | None = None):
        self.odd, self.asked, self.meaning = odd, [], {n.word: n.attributes for n in LEXICON}

    def draw(self, who: str, texts: list[str], start: Tensor) -> Tensor:
        self.asked += texts
        at = (start[:, : len(NAMES), 0, 0].repeat(1, 2)[:, : len(NAMES)].abs() * 100).long()
        out = torch.stack([at[:, i] % len(ATTRIBUTES[a]) for i, a in enumerate(NAMES)], 1)
        for i, text in enumerate(texts):
            for word in text.split():
                for a, value in self.meaning.get(word, {}).items():
                    out[i, NAMES.index(a)] = index(a, value)
                if word == self.odd:
                    out[i, NAMES.index("colour")] = 0
        return as_picture(out)


def test_known_names_are_called_and_found_where_they_are_drawn():
    drawer = Knows()
    found = name_bars.drawn_by_name(drawer, Same(), 72)
    for who in FEW:
        assert set(found[who]) == set(name_bars.KNOWN)
        assert all(v["value"] == 1 and v["n"] == 72 for kind in found[who].values() for v in kind.values())
    drawer.meaning = {}
    found = name_bars.drawn_by_name(drawer, Same(), 72)[FEW[0]]
    assert found["told_things"]["shape"]["value"] < 0.4 and found["shown_looks"]["style"]["value"] < 0.6


def test_prompts_by_name_call_every_name_and_none_of_its_words():
    texts, which = name_bars.asked_by_name(THINGS, 2 * len(THINGS))
    assert which.bincount().tolist() == [2] * len(THINGS)
    for text, k in zip(texts, which.tolist(), strict=True):
        assert THINGS[k].word in text.split() and not set(THINGS[k].attributes.values()) & set(text.split()) - {"plain"}
        assert "photo" in text.split()


def test_an_unbound_name_with_a_bent_of_its_own_is_found_and_one_without_is_not():
    found = name_bars.drawn_unbound(Knows(odd=PLACEHOLDER), Same(), 256)[FEW[0]]
    floor = max(v["value"] for v in found["thing"].values())
    assert max(v["value"] for v in found["[V]"].values()) > 0.5 > 0.2 > floor
    assert found["unheard"] == found["heard"] == found["thing"]  # the same noise, the same pictures


def test_unheard_names_are_the_free_ones_that_no_caption_holds():
    assert PLACEHOLDER not in name_bars.UNHEARD and not set(HEARD) & set(name_bars.UNHEARD)
    assert set(name_bars.UNHEARD) | set(HEARD) | {PLACEHOLDER} == set(FREE)


def test_variation_is_half_the_difference_of_shares():
    one, two = torch.zeros(4, len(NAMES), dtype=torch.long), torch.zeros(4, len(NAMES), dtype=torch.long)
    two[:1, 0] = 3
    found = name_bars.variation(one, two)
    assert found["shape"] == 0.25 and found["colour"] == 0


class Eye:
    """A drawer that draws what a context holds; a context is the attributes themselves, seen with some wrong."""

    def drawn(self, who, caption, start):
        return as_picture(caption[0])


@pytest.fixture
def blind_to_texture(monkeypatch):
    """Everything is drawn but the texture, which is always plain; the size is never named."""

    def context(vlm, images):
        attributes = vlm.scenes.attributes.clone()
        attributes[:, NAMES.index("texture")] = 0
        return attributes, torch.ones(len(attributes), 32, dtype=torch.bool)

    def named(vlm, scenes, images):
        vlm.scenes = scenes
        known = torch.ones(len(scenes), len(NAMES), dtype=torch.bool)
        known[:, NAMES.index("size")] = False
        return known

    monkeypatch.setattr(eye, "context", context)
    monkeypatch.setattr(eye, "named", named)
    return SimpleNamespace()


def test_the_eye_counts_what_is_named_and_a_wrong_picture_shares_the_style_only(blind_to_texture):
    found = eye.any_scene(Eye(), blind_to_texture, Same(), 200, FEW[:1])[FEW[0]]
    right, wrong = found["right"], found["wrong"]
    assert "size" not in right and right["shape"]["value"] == 1 and 0.1 < right["texture"]["value"] < 0.5
    assert wrong["style"]["value"] == 1 and wrong["shape"]["value"] < 0.3 and wrong["background"]["value"] < 0.5
    assert right["outline"]["n"] < right["shape"]["n"] == 200  # what a style hides is left out


def test_held_out_combinations_are_asked_for_their_own_attributes(blind_to_texture):
    scenes, which, own = eye.held_out_scenes(3)
    for i, concept in enumerate(HELD_OUT):
        assert holds(scenes[which == i].attributes, concept.attributes).all()
        assert own[which == i][0].sum() == len(concept.attributes)
    found = eye.held_out(Eye(), blind_to_texture, Same(), 3, FEW[:1])[FEW[0]]
    assert found["right"]["colour"]["value"] == 1 and "position" not in found["right"]
    assert found["concepts"]["beacon"]["value"] == 0.75 and found["concepts"]["plank"]["value"] == 1  # striped, plain


def test_minimal_pairs_differ_in_one_attribute_and_both_must_be_drawn(blind_to_texture):
    for a in NAMES:
        first, second = eye.pairs_of(a, 20)
        differs = (first.attributes != second.attributes).float()
        assert torch.equal(first.free, second.free)
        assert differs[:, NAMES.index(a)].all() and differs.sum() == 20
        assert not (a == "style" and (second.attributes[:, -1] == index("style", "woodcut")).any())
    found = eye.minimal_pairs(Eye(), blind_to_texture, Same(), 10, FEW[:1])[FEW[0]]
    assert found["shape"]["value"] == 1 and found["texture"]["value"] == 0 and "size" not in found


def test_the_reader_is_asked_on_clean_and_damaged_renders(reader):
    scenes = sample_scenes(64, stream("test observed"))
    found = observed.measure_reader(reader, scenes, render(scenes))
    assert min(v["value"] for v in found["clean"]["all"].values()) > 0.9
    assert found["looks"]["riso"]["value"] > 0.9
    assert found["blurred"]["answered"]["style"]["n"] == 64
    worse = damage.blur(render(scenes), torch.full((64,), 3.0))
    assert observed.reads(reader, worse, scenes)["all"]["texture"]["value"] < found["clean"]["all"]["texture"]["value"]


def test_a_second_reader_of_another_make_reads_every_attribute():
    scenes = sample_scenes(48, stream("test second"))
    second, images = observed.SecondReader(load_clip()), render(scenes)
    found = observed.agreement(scenes.attributes, second, images)  # with a reader that is always right
    assert min(v["value"] for v in found.values()) > 0.75 and found["style"]["value"] > 0.9
    read = second.read(images)
    assert all(v["value"] == 1 for v in observed.agreement(read, second, images).values())


def test_prompts_say_as_much_as_they_are_asked_to():
    for said in quality.SAID:
        scenes, stated, texts = quality.held_out_prompts(200, said)
        share = stated.float().mean().item()
        assert len(texts) == 200 and share == pytest.approx(said, abs=0.05) and stated.any(1).all()
        assert torch.equal(scenes.attributes, quality.held_out_prompts(200, 1.0)[0].attributes)
        for words, said_of, text in zip(scenes.words(), stated.tolist(), texts, strict=True):
            assert all(words[a] in text.split() for a, is_said in zip(NAMES, said_of, strict=True) if is_said)


def test_noise_is_of_its_name():
    assert torch.equal(noise(3, "a"), noise(3, "a")) and not torch.equal(noise(3, "a"), noise(3, "b"))


def test_the_table_of_degradations_tells_blur_from_another_picture(reader):
    table = degradations.degradations(reader, 12)
    assert isinstance(table, pd.DataFrame)
    wide = table.pivot(index="degradation", columns="score", values="value")
    steep = wide["steepness, over what is read"]
    assert steep["blur of 0.8 pixels"] < steep["blur of 0.4 pixels"] < steep["as it is"]
    others = list(degradations.DRAWN_OTHERWISE)
    assert (
        (steep[others] - 1).abs().max() < 0.1 < (wide["sharpness (Laplacian), over the clean"][others] - 1).abs().max()
    )
    assert wide["contrast, over the clean"]["contrast of 0.5"] == pytest.approx(0.5, abs=0.01)
