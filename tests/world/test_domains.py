"""Domains: their pictures show the look, and no caption says it."""

import pytest

from dopsd.sets.jsonl import read_set
from dopsd.support.errors import UserError
from dopsd.support.pictures import from_pil
from dopsd.world import domains
from dopsd.world.captions import vocabulary
from dopsd.world.lexicon import LEXICON


@pytest.mark.parametrize("name", ["terrazzo", "riso"])
def test_a_set_is_in_the_releases_form_and_never_says_its_look(name, tmp_path):
    domains.write_domain(name, tmp_path / "one", 70, seed=0)
    items = read_set(tmp_path / "one/data.jsonl")
    assert len(items) == 70 and {i.class_name for i in items} == {name} and {i.size for i in items} == {(64, 64)}
    said = {word for item in items for text in item.captions.values() for word in text.split()}
    assert said <= set(vocabulary()) and not said & {n.word for n in LEXICON}
    assert not said & {*domains.own(name).values(), "style"}
    domains.write_domain(name, tmp_path / "again", 70, seed=0)
    domains.write_domain(name, tmp_path / "other", 70, seed=1)
    text = (tmp_path / "one/data.jsonl").read_text()
    assert text == (tmp_path / "again/data.jsonl").read_text() != (tmp_path / "other/data.jsonl").read_text()


def test_open_captions_are_of_the_same_pictures_and_say_less(tmp_path):
    sets = {}
    for name in ("dusk", "dusk open"):
        domains.write_domain(name, tmp_path / name, 40, seed=0)
        sets[name] = read_set(tmp_path / name / "data.jsonl")
    dense, less = sets.values()
    assert [i.file.read_bytes() for i in dense] == [i.file.read_bytes() for i in less]
    words = [sum(len(text.split()) for item in items for text in item.captions.values()) for items in (dense, less)]
    assert words[1] < 0.9 * words[0] and domains.own("riso open") == {"look": "riso"}


def test_held_out_renders_are_of_other_scenes(tmp_path):
    domains.write_domain("dusk", tmp_path / "dusk", 8, seed=0)
    taught = [from_pil(i.image()) for i in read_set(tmp_path / "dusk/data.jsonl")]
    held = domains.renders("dusk", 8, "held out")
    assert held.shape == (8, 3, 64, 64) and min((a - b).abs().mean() for a in taught for b in held) > 0.01


def test_what_is_no_look_is_no_domain(tmp_path):
    with pytest.raises(UserError, match=r"fetch.folders: 'beacon' is no domain of the world; known: .*terrazzo"):
        domains.write_domain("beacon", tmp_path, 8, seed=0)
    with pytest.raises(UserError, match="did you mean 'terrazzo'"):
        domains.own("terazzo")
