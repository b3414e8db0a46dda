"""The probe of a folder: a model that draws what it saw is a better teacher than nothing, one that sees nothing is not."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from seers import Far, Seer

from dopsd.evaluation.instruments import Panel, Score
from dopsd.evaluation.probe_folder import ANY, COLUMNS, CONTEXTS, MEANS, Probe, elsewhere, scores_of
from dopsd.evaluation.rows import NEW, ORDINARY
from dopsd.sets.items import Item
from dopsd.support.errors import UserError
from dopsd.support.pictures import from_pil


class Likeness:
    """Of kinds of prompts and needs that a probe has and has not."""

    Settings = object
    scores = {  # noqa: RUF012
        "near": Score("higher", "how near to any", (NEW,), ("training",)),
        "reward": Score("higher", "of no picture", (NEW,)),
        "kept": Score("as untouched", "is no fidelity", (NEW,), ("training",)),
        "others": Score("higher", "of other prompts", (ORDINARY,), ("training",)),
    }

    def score(self, name, view):
        assert view.kind == NEW and name == "near"
        return torch.stack([-min((a - from_pil(b.image())).abs().mean() for b in view.items) for a in view.images])


@pytest.fixture
def items(tmp_path):
    out = []
    for i, colour in enumerate(((200, 0, 0), (220, 20, 0), (210, 0, 30))):
        Image.new("RGB", (32, 48), colour).save(tmp_path / f"{i}.png")
        out.append(Item(tmp_path / f"{i}.png", (48, 32), {"short_en": "[V] outdoors"}, "corgi"))
    return out


def panel_of(**kinds):
    made = Panel({}, torch.device("cpu"), "a test")
    made.kinds, made._open = kinds, {name: kind() for name, kind in kinds.items()}
    made.settings = {name: SimpleNamespace() for name in kinds}
    return made


class Blind(Seer):
    """Draws grey, whatever it is given, but for what the noise leaves."""

    def context(self, texts, images=None):
        return [torch.zeros(3, 48, 32) for _ in texts]


class Sighted(Seer):
    def context(self, texts, images=None):
        return super().context(texts, images) if images else [torch.zeros(3, 48, 32) for _ in texts]


def found(model, items, wrong, noises=2):
    asked, panel = Probe.of(items, wrong, noises, seed=0), panel_of(far=Far, like=Likeness)
    values = asked.scored(asked.drawn(model, 2, batch_size=2), panel)
    return values, asked.table(values, panel), asked.verdict(values, panel)


def test_scores_of_fidelity_are_those_that_hold_a_picture_against_the_folders():
    assert set(scores_of(panel_of(far=Far, like=Likeness))) == {"far", "near"}
    with pytest.raises(UserError, match="a test: instruments: none compares a picture"):
        scores_of(panel_of())


def test_a_teacher_that_sees_is_better_and_a_wrong_picture_is_not(items):
    values, table, said = found(Sighted(), items, [Image.new("RGB", (32, 48), "blue")] * 3)
    assert list(table) == COLUMNS and list(values["far"]) == list(CONTEXTS) and len(table) == 2 * len(CONTEXTS)
    far = {name: x.mean() for name, x in values["far"].items()}
    assert far["image_text"] == far["image"] == pytest.approx(0, abs=0.01)
    assert far["image_text"] < far["another_image_text"] < far["text"] < far["wrong_image_text"]
    assert len(values["far"]["text"]) == 6 and set(table.n) == {3}  # two noises are no two pictures
    assert values["near"]["another_image_text"] == pytest.approx(0, abs=0.01)  # it is one of the set
    assert said[0].startswith("The teacher is better than the student on your pictures: 0.0")
    assert "(3 pictures; far, lower is better); a wrong picture scores" in said[0] and said[1] == MEANS[1]


def test_one_that_sees_nothing_is_not_told_apart(items):
    _, table, said = found(Blind(), items, elsewhere(items, 0))
    assert "is not told apart from the student" in said[0] and said[1] == MEANS[0]
    less = table.loc[table.context == "image_text", "less_student"]
    assert list(less) == pytest.approx([0, 0]) and np.isnan(table.loc[table.context == "text", "less_student"]).all()


def test_what_any_picture_does_is_not_of_ones_own(items):
    said = found(Sighted(), items, [i.image() for i in items])[2]
    assert "is better than" in said[0] and said[1] == ANY


def test_one_picture_is_no_more_than_a_hint(items):
    values, table, said = found(Sighted(), items[:1], elsewhere(items[:1], 0))
    assert "another_image_text" not in values["far"] and "is not told apart" in said[0] and "(1 picture;" in said[0]
    assert table.low.isna().all()


def test_wrong_pictures_are_scenes_of_the_pictures_size(items):
    shown = elsewhere(items, 3)
    assert [image.size for image in shown] == [(32, 48)] * 3
    assert shown[0].tobytes() == elsewhere(items, 3)[0].tobytes() != elsewhere(items, 4)[0].tobytes()
