import torch

from dopsd.evaluation import by_world
from dopsd.evaluation.rows import NAMELESS, NEW, OTHER, of_kind
from dopsd.world.concepts import training_scenes
from dopsd.world.outside import CONCEPTS
from dopsd.world.scenes import NAMES, held_out, render, sample_scenes, visible

NOTHING = torch.zeros(0, len(NAMES), dtype=torch.long)
SAID = 0.5
ASKED = ((0.15, None), (0.9, 0.9))  # usual, and another openness


def test_ordinary_prompts_show_no_concept_and_say_what_they_state():
    asked = by_world.ordinary("beacon", 40, 0, SAID)
    stated = by_world.stated(asked)
    assert not held_out(by_world.scenes_of(asked).attributes).any()
    assert not any("[V]" in r.text for r in asked)
    for row, each in zip(asked, stated, strict=True):
        assert row.truth
        said = set(row.text.split())
        for attribute, is_stated in zip(NAMES, each.tolist(), strict=True):
            assert (row.truth.attributes[attribute] in said) == is_stated, (row.text, attribute)
        assert row.said == len(row.stated) / 9
    assert stated.any(1).all() and not stated.all()
    assert len({r.group for r in asked}) == 40 and {r.seed for r in asked} == {0}


def test_a_scene_comes_back_from_its_row_to_the_bit():
    scenes = sample_scenes(5, torch.Generator().manual_seed(0))
    asked = by_world.ordinary("beacon", 5, 0, SAID)
    assert torch.equal(scenes.free, torch.tensor([t.free for t in by_world.truths(scenes)]))
    again = by_world.scenes_of(
        [r.model_copy(update={"truth": t}) for r, t in zip(asked, by_world.truths(scenes), strict=True)]
    )
    assert torch.equal(again.attributes, scenes.attributes) and torch.equal(render(again), render(scenes))


def test_the_described_text_asks_for_the_same_scene_with_the_concept_spelled_out():
    asked = of_kind(by_world.for_concept("beacon", 5, 2, 1, NOTHING, 1.0), NEW)
    assert len(asked) == 10
    for row in asked:
        assert "[V]" in row.text and "star" not in row.text
        assert row.described and "[V]" not in row.described
        assert {"orange", "striped", "inked", "star"} <= set(row.described.split())
        assert not {"shape", "colour", "texture", "outline"} & set(row.stated) and len(row.stated) == 5


def test_noises_of_a_prompt_stand_side_by_side_and_differ():
    asked = by_world.for_concept("fresco", 3, 2, 0, NOTHING, SAID)
    assert [r.group for r in asked] == ["0", "0", "1", "1", "2", "2"] * 3
    assert asked[0].text == asked[1].text != asked[2].text and asked[0].truth == asked[1].truth
    other = by_world.for_concept("fresco", 3, 2, 1, NOTHING, SAID) + by_world.ordinary("beacon", 6, 0, SAID)
    assert len({r.noise for r in [*asked, *other]}) == 18 and len({r.id for r in [*asked, *other]}) == 42
    assert asked == by_world.for_concept("fresco", 3, 2, 0, NOTHING, SAID)


def test_training_scenes_do_not_come_again():
    known = by_world.scenes_of(by_world.for_concept("beacon", 4, 1, 0, NOTHING, SAID)).attributes
    asked = by_world.scenes_of(by_world.for_concept("beacon", 4, 1, 0, known, SAID)).attributes
    assert not (asked[:, None] == known[None]).all(2).any()
    assert training_scenes(CONCEPTS["beacon"], 4, seed=0).attributes.shape == (4, 9)


def test_open_prompts_say_nothing_but_the_placeholder():
    for text in by_world.open_prompts(12, seed=0):
        assert "[V]" in text


def test_one_scene_and_noise_with_the_name_with_thing_and_with_another_name():
    for concept, nothing in (("beacon", "thing"), ("fresco", None)):
        asked = by_world.for_concept(concept, 4, 2, 0, NOTHING, SAID)
        named, nameless, other = (of_kind(asked, kind) for kind in (NEW, NAMELESS, OTHER))
        for a, b, c in zip(named, nameless, other, strict=True):
            assert a.noise == b.noise == c.noise and a.truth == b.truth == c.truth and a.stated == b.stated == c.stated
            words = a.text.split()
            assert "[V]" in words and "[V]" not in b.text + c.text and by_world.OTHER_NAME in c.text.split()
            assert c.text == " ".join(by_world.OTHER_NAME if w == "[V]" else w for w in words)
            assert not nothing or b.text == " ".join(nothing if w == "[V]" else w for w in words)


def test_open_prompts_say_little_and_always_something_that_is_seen():
    asked = by_world.ordinary("beacon", 300, 0, 0.15)
    seen = visible(by_world.scenes_of(asked).attributes) & by_world.stated(asked)
    assert seen.any(1).all()
    assert 0.15 < by_world.stated(asked).float().mean() < 0.22  # .15, and one where nothing was said
    new = of_kind(by_world.for_concept("beacon", 60, 1, 0, NOTHING, 0.15), NEW)
    assert all(r.stated for r in new) and sum(len(r.stated) for r in new) / 60 < 1.6
    assert not any(set(r.stated) & set(CONCEPTS["beacon"].attributes) for r in new)


def test_another_openness_asks_for_the_same_scenes_and_noise_and_says_more():
    few, more = ([*of_kind(by_world.for_concept("beacon", 20, 2, 0, NOTHING, s, c), NEW, chance=c)] for s, c in ASKED)
    plain, told = (by_world.ordinary("beacon", 20, 0, said, chance) for said, chance in ASKED)
    for before, after in ((few, more), (plain, told)):
        assert [(r.truth, r.noise, r.group, r.kind) for r in before] == [
            (r.truth, r.noise, r.group, r.kind) for r in after
        ]
        assert [f"{r.id}/said-0.9" for r in before] == [r.id for r in after]
        assert {r.chance for r in before} == {None} and {r.chance for r in after} == {0.9}
        assert sum(len(r.stated) for r in after) > 2 * sum(len(r.stated) for r in before)
    assert {r.kind for r in by_world.for_concept("beacon", 4, 2, 0, NOTHING, 0.9, 0.9)} == {NEW}
    everything = by_world.ordinary("beacon", 20, 0, 1.0, 1.0)
    assert {len(r.stated) for r in everything} == {len(NAMES)}


def test_every_concept_and_seed_has_ordinary_prompts_of_its_own():
    blocks = [by_world.ordinary(concept, 64, seed, 0.15) for concept in ("beacon", "pebble", "riso") for seed in (0, 1)]
    every = [r for block in blocks for r in block]
    assert len({r.id for r in every}) == len({r.noise for r in every}) == len(every)
    scenes = [by_world.scenes_of(block) for block in blocks]
    assert len({s.free[k].numpy().tobytes() for s in scenes for k in range(64)}) == len(every)
    assert blocks[0] == by_world.ordinary("beacon", 64, 0, 0.15)


def test_a_look_without_words_leaves_the_style_to_its_name():
    asked = of_kind(by_world.for_concept("riso", 6, 1, 0, NOTHING, 1.0), NEW)
    assert all("[V]" in r.text and "style" not in r.stated for r in asked)
    assert all(set(r.stated) == set(NAMES) - {"style"} for r in asked)
