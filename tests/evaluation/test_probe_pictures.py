"""The probe on pictures: a model that draws what it saw is near, and one that saw another picture is far."""

from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from seers import Far, Seer

from dopsd.config.probe import PictureProbe
from dopsd.evaluation import probe_pictures
from dopsd.evaluation.instruments import Panel
from dopsd.sets.items import Item
from dopsd.support.errors import UserError

KINDS = ("text", "image_text", "wrong_image_text", "image")


@pytest.fixture
def items(tmp_path):
    out = []
    for i, colour in enumerate(("red", "blue", "white")):
        Image.new("RGB", (32, 32), colour).save(tmp_path / f"{i}.png")
        out.append(Item(tmp_path / f"{i}.png", (32, 32), {"short_en": "[V] outdoors"}, "corgi"))
    return out


@pytest.fixture
def panel():
    made = Panel({}, torch.device("cpu"), "a test")
    made.kinds, made._open, made.settings = {"far": Far}, {"far": Far()}, {"far": SimpleNamespace()}
    return made


def test_what_was_seen_is_near_and_nothing_or_another_picture_is_not(items, panel):
    model, settings = Seer(), PictureProbe(contexts=KINDS, nfe=(2, 3), images=8)
    scores, table, pictures = probe_pictures.probe(model, items, panel, settings, 2)
    assert model.freed and set(scores) == {"2", "3"} and set(scores["2"]) == set(KINDS)
    values = {kind: scores["2"][kind]["far"]["value"] for kind in KINDS}
    assert values["image_text"] == values["image"] == pytest.approx(0, abs=0.01)
    assert min(values["text"], values["wrong_image_text"]) > 0.4
    assert scores["3"]["text"]["far"]["n"] == 3 and len(table) == 8
    assert list(pictures) == ["target", *KINDS] and all(len(p) == 3 for p in pictures.values())


def test_one_picture_or_no_instrument_of_pairs_is_an_error(items, panel):
    settings = PictureProbe(contexts=KINDS, nfe=(1,), images=8)
    with pytest.raises(UserError, match="two pictures or more"):
        probe_pictures.probe(Seer(), items[:1], panel, settings, 1)
    panel.kinds = {}
    with pytest.raises(UserError, match="none compares a picture with another"):
        probe_pictures.probe(Seer(), items, panel, settings, 1)
