"""The mini CLIP as a second reader of the concept's attributes."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from dopsd.evaluation import by_world
from dopsd.evaluation.instruments import View
from dopsd.evaluation.instruments.mini_clip import ByMiniClip
from dopsd.evaluation.rows import NEW, of_kind
from dopsd.world.outside import CONCEPTS
from dopsd.world.scenes import ATTRIBUTES, NAMES

ROWS = of_kind(by_world.for_concept("beacon", 2, 1, 0, torch.zeros(0, len(NAMES), dtype=torch.long), 0.5), NEW)
WORDS = [w for values in ATTRIBUTES.values() for w in values]


def instrument(*pictures: set[str]) -> ByMiniClip:
    """Features are the words that a picture shows, or that a text says."""

    def features(of):
        return F.normalize(torch.tensor([[float(w in words) for w in WORDS] for words in of]), dim=1)

    made = ByMiniClip.__new__(ByMiniClip)
    made.clip = SimpleNamespace(
        image_features=lambda images: features(pictures), text_features=lambda texts: features(t.split() for t in texts)
    )
    return made


def view(own) -> View:
    return View(NEW, ROWS, [torch.zeros(3, 64, 64)] * 2, (), own)


def test_it_reads_the_share_of_the_concepts_own_attributes_by_the_nearest_words():
    own = CONCEPTS["beacon"].attributes
    half = {own["shape"], own["colour"], "plain", "haloed"}
    assert instrument(set(own.values()), half).score("clip_fidelity", view(own)).tolist() == pytest.approx([1, 0.5])


def test_of_a_look_without_words_it_says_nothing():
    assert instrument(set(), set()).score("clip_fidelity", view({"look": "riso"})) is None
