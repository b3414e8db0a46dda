"""What is asked of a domain, and of what was there before."""

from collections import Counter

from dopsd.evaluation import by_domain
from dopsd.evaluation.by_domain import DENSE, KNOWN, NAMED
from dopsd.evaluation.rows import NEW, ORDINARY, of_kind
from dopsd.world.lexicon import LEXICON
from dopsd.world.outside import OUTSIDE
from dopsd.world.scenes import ATTRIBUTES

ROWS = by_domain.rows("nocturne", 16, 2, 80, 3, 0.15)


def test_every_kind_is_asked_at_every_openness():
    assert Counter((r.kind, r.chance) for r in ROWS) == {
        **{(NEW, chance): 32 for chance in (None, DENSE, NAMED)},
        **{(ORDINARY, chance): 80 for chance in (None, DENSE, NAMED)},
    }
    assert len({r.id for r in ROWS}) == len(ROWS) and {r.seed for r in ROWS} == {3}
    assert by_domain.rows("nocturne", 16, 2, 80, 3, 0.15) == ROWS == by_domain.rows("nocturne open", 16, 2, 80, 3, 0.15)


def test_new_prompts_say_nothing_of_the_look_and_show_it():
    own = OUTSIDE["nocturne"].attributes
    for row in (r for r in ROWS if r.kind == NEW):
        assert not {*own.values(), "style", "[V]"} & set(row.text.split())
        assert own.items() <= row.truth.attributes.items() and not set(row.stated) & set(own)


def test_dense_prompts_say_all_that_is_there_of_the_same_scenes_and_noise():
    plain, dense = of_kind(ROWS, NEW), of_kind(ROWS, NEW, chance=DENSE)
    assert [(r.truth, r.noise) for r in plain] == [(r.truth, r.noise) for r in dense]
    assert all(len(r.stated) == 6 for r in dense)
    assert all(set(r.stated) == set(ATTRIBUTES) for r in of_kind(ROWS, ORDINARY, chance=DENSE))


def test_a_known_name_is_all_that_its_prompt_says_and_the_truth_is_what_it_means():
    names, by_word = of_kind(ROWS, ORDINARY, chance=NAMED), {n.word: n for n in LEXICON}
    every = {a for words in ATTRIBUTES.values() for a in words}
    for row in names:
        (name,) = [by_word[w] for w in row.text.split() if w in by_word]
        assert name.kind != "free" and not set(row.text.split()) & every
        assert name.attributes.items() <= row.truth.attributes.items() and set(row.stated) == set(name.attributes)
    assert {n.word for n in KNOWN} == {w for r in names for w in r.text.split() if w in by_word}
