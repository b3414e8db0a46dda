"""Who is on the panel, what it needs, and who is told when that is not there."""

import pytest
import torch

from dopsd.evaluation import instruments
from dopsd.evaluation.instruments import Panel, View
from dopsd.evaluation.rows import NEW, ORDINARY, Row
from dopsd.support.errors import UserError

CPU = torch.device("cpu")
READER = {"reader": {"model": "models/mini-reader"}}


def panel(settings) -> Panel:
    return Panel(settings, CPU, "params.yaml")


def row(i: int, kind: str = NEW, group: str = "0") -> Row:
    return Row(id=str(i), kind=kind, group=group, text="[V]", height=64, width=64, noise=i)


def test_every_file_is_an_instrument_that_says_what_its_scores_mean():
    assert {"reader", "sharpness", "mini_clip", "dino", "lpips", "clip", "judge", "reward", "frechet", "kid"} <= set(
        instruments.names()
    )
    seen = {}
    for name in instruments.names():
        kind = __import__(instruments.module(name), fromlist=["INSTRUMENT"]).INSTRUMENT
        assert kind.scores and issubclass(kind.Settings, instruments.Section), name
        assert all(s.says and s.kinds for s in kind.scores.values()), name
        for score, what in kind.scores.items():
            assert seen.setdefault(score, what) == what, score  # no two instruments call different things alike


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"microscope": {}}, r"instruments\.microscope: no such instrument; known: blur, clip, copies, dino"),
        ({"reader": {"modle": "x"}}, r"instruments\.reader\.modle: unknown; did you mean 'model'\?"),
        (
            {"frechet": {"features": "dino"}},
            r"instruments\.frechet: features: 'dino' is none of the instruments; add it",
        ),
    ],
)
def test_a_wrong_entry_names_file_field_and_remedy(settings, said):
    with pytest.raises(UserError, match=rf"params\.yaml: {said}"):
        panel(settings)


def test_null_leaves_an_instrument_out_and_nothing_is_opened_before_it_is_asked():
    made = panel(READER | {"dino": None, "frechet": {"features": "reader"}})
    assert list(made.kinds) == ["reader", "frechet"] and made._open == {}
    assert made.order() == ["reader", "frechet"]
    assert panel({"frechet": {"features": "reader"}, **READER}).order() == ["reader", "frechet"]  # features come first


def test_an_instrument_that_could_say_nothing_is_refused_and_says_what_it_lacks():
    nothing = {NEW: View(NEW, [row(0)], ()).has()}
    with pytest.raises(UserError, match=r"instruments\.reader: it needs prompts that the world made .*take it out"):
        panel(READER).check(nothing)
    panel({"sharpness": {}}).check(nothing)
    panel(READER).check({NEW: {"truth"}})


def test_what_prompts_have():
    both = [row(0), row(1)]
    assert View(NEW, both, ()).has() == {"noises"}
    assert View(NEW, [row(0), row(1, group="1")], ()).has() == set()
    against = View(ORDINARY, both, (), reference=View(ORDINARY, both, ()))
    assert "reference" in against.has()


def test_scores_that_lack_what_they_need_are_left_out_and_no_others():
    made = panel({"sharpness": {}})
    assert made.says("sharpness", NEW, set()) == ["sharpness"]
    assert made.says("sharpness", NEW, {"truth"}) == ["sharpness", "sharpness_renders"]
    assert made.says("sharpness", "rewrite", {"truth"}) == []
