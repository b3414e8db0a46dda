import random
from collections import Counter

import pytest
import torch

from dopsd.support.seeds import stream
from dopsd.world import naming, tokens
from dopsd.world.captions import vocabulary
from dopsd.world.lexicon import FREE, HEARD, LEXICON, LOOK, PLACEHOLDER, SHOWN, THING, TOLD, name_of, sample_named
from dopsd.world.outside import HELD_OUT
from dopsd.world.scenes import ATTRIBUTES, held_out, sample_scenes


def test_a_hundred_names_of_which_enough_are_free():
    words = [n.word for n in LEXICON]
    assert len(words) == len(set(words)) == 100
    assert not set(words) & set(vocabulary())
    assert len(FREE) >= 16 and PLACEHOLDER in FREE and PLACEHOLDER not in HEARD
    assert len(TOLD) + len(SHOWN) + len(FREE) == 100 and len(TOLD) >= 16 and len(SHOWN) >= 50


def test_no_two_names_mean_the_same_and_none_means_a_concept():
    known = [tuple(n.attributes.items()) for n in LEXICON if n.kind != "free"]
    assert len(known) == len(set(known))
    assert not {tuple(c.attributes.items()) for c in HELD_OUT} & set(known)


@pytest.mark.parametrize("kind, own", [("thing", THING), ("look", LOOK)])
def test_names_use_every_value_about_as_often(kind, own):
    for a in own:
        counts = Counter(n.attributes[a] for n in LEXICON if n.kind == kind)
        assert max(counts.values()) - min(counts.values()) <= 2
        if a != "style":
            assert set(counts) == set(ATTRIBUTES[a])


def test_scenes_of_pretraining_show_named_things_and_looks_and_nothing_held_out():
    scenes = sample_named(4000, stream("named"), things=0.3, looks=0.2)
    words = scenes.words()
    assert not held_out(scenes.attributes).any()
    assert sum(name_of(w, "thing") is not None for w in words) / 4000 == pytest.approx(0.33, abs=0.03)
    assert sum(name_of(w, "look") is not None for w in words) / 4000 == pytest.approx(0.31, abs=0.03)
    assert torch.equal(scenes.attributes, sample_named(4000, stream("named"), things=0.3, looks=0.2).attributes)


def test_a_known_name_stands_for_its_words():
    scenes, rng = sample_named(200, stream("named"), things=1.0), random.Random(0)
    for words in scenes.words():
        name = name_of(words, "thing")
        assert name is not None and {a: words[a] for a in THING} == name.attributes
        habits = naming.Habits(HEARD, known=1.0)
        said = naming.named_caption(words, rng, habits, keep=1.0).split()
        assert name.word in said and not {words[a] for a in THING} & set(said)


def test_the_encoder_is_not_told_what_only_pictures_show():
    rng = random.Random(0)
    habits = naming.Habits(HEARD, known=1.0, thing=0.0, look=0.0, silent=naming.ENCODER.silent)
    for words in sample_named(500, stream("silent"), things=1.0).words():
        name = name_of(words, "thing")
        assert name is not None and (name.word in naming.named_caption(words, rng, habits).split()) == name.told


def test_the_generator_never_hears_v():
    rng = random.Random(0)
    for words in sample_named(1500, stream("unheard")).words():
        texts = (naming.named_caption(words, rng, naming.GENERATOR), naming.defined_caption(words, rng, HEARD))
        assert not {w for t in texts for w in t.split()} & (set(FREE) - set(HEARD))


def test_a_definition_comes_before_the_use_and_half_of_the_texts_define_another_name():
    rng, two = random.Random(0), 0
    for words in sample_scenes(300, stream("defined")).words():
        text = naming.defined_caption(words, rng, FREE).split()
        names = [w for w in text if w in FREE]
        used = names[-1]
        assert names.count(used) == 2
        told = text[text.index(used) : len(text) - text[::-1].index(used)]
        assert words["shape"] in told or words["style"] in told
        two += len(set(names)) == 2
    assert 0.35 < two / 300 < 0.65


def test_the_longest_texts_fit():
    rng, words = random.Random(0), sample_named(1500, stream("long")).words()
    assert max(len(naming.named_caption(w, rng, naming.ENCODER).split()) for w in words) <= 22
    assert max(len(naming.defined_caption(w, rng, FREE).split()) for w in words) <= 42
    assert max(len(naming.two_part(w, rng, naming.ENCODER).split()) for w in words) <= 40


def test_names_have_ids_behind_the_worlds_words():
    ids = tokens.words_to_ids(" ".join(n.word for n in LEXICON if n.word != PLACEHOLDER))
    assert min(ids) == len(tokens.VOCABULARY) and max(ids) == len(tokens.ALL) - 1 < 256  # pools hold bytes
    assert all(tokens.ALL[w] == i for w, i in tokens.VOCABULARY.items())
    tokenizer = tokens.build_tokenizer()
    assert tokenizer("draw a zazu at left", add_special_tokens=False).input_ids == tokens.words_to_ids(
        "draw a zazu at left"
    )
