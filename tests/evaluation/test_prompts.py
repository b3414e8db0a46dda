import torch

from dopsd.evaluation import prompts
from dopsd.world.concepts import training_scenes
from dopsd.world.scenes import CONCEPTS, NAMES, held_out


def test_ordinary_prompts_show_no_concept_and_say_what_they_state():
    asked = prompts.ordinary(40, seed=0)
    assert not held_out(asked.scenes.attributes).any()
    assert not any("[V]" in text for text in asked.texts)
    for text, words, stated in zip(asked.texts, asked.scenes.words(), asked.stated, strict=True):
        said = set(text.split())
        for attribute, is_stated in zip(NAMES, stated.tolist(), strict=True):
            assert (words[attribute] in said) == is_stated, (text, attribute)
    assert asked.stated.any(1).all() and not asked.stated.all()


def test_described_prompts_ask_for_the_same_scenes_with_the_concept_spelled_out():
    asked = prompts.for_concept("beacon", 5, 2, seed=1, described=False)
    spelled = prompts.for_concept("beacon", 5, 2, seed=1, described=True)
    assert torch.equal(asked.scenes.attributes, spelled.scenes.attributes)
    assert torch.equal(asked.stated, spelled.stated)
    assert torch.equal(asked.noise((2, 3, 3), 1), spelled.noise((2, 3, 3), 1))
    for a, b in zip(asked.texts, spelled.texts, strict=True):
        assert "[V]" in a and "star" not in a
        assert "[V]" not in b and {"orange", "striped", "inked", "star"} <= set(b.split())


def test_noises_of_a_prompt_stand_side_by_side_and_differ():
    asked = prompts.for_concept("fresco", 3, 2, seed=0, described=False)
    assert asked.group.tolist() == [0, 0, 1, 1, 2, 2]
    assert asked.texts[0] == asked.texts[1] != asked.texts[2]
    noise = asked.noise((2, 4, 4), 0)
    assert not torch.equal(noise[0], noise[1])
    assert torch.equal(noise, asked.noise((2, 4, 4), 0)) and not torch.equal(noise, asked.noise((2, 4, 4), 1))


def test_training_scenes_do_not_come_again():
    known = prompts.for_concept("beacon", 4, 1, seed=0, described=False).scenes.attributes
    asked = prompts.for_concept("beacon", 4, 1, seed=0, described=False, training=known)
    assert not (asked.scenes.attributes[:, None] == known[None]).all(2).any()
    assert training_scenes(CONCEPTS["beacon"], 4, seed=0).attributes.shape == known.shape


def test_open_prompts_say_nothing_but_the_placeholder():
    for text in prompts.open_prompts(12, seed=0):
        assert "[V]" in text
