"""What the reader's instrument says of a concept, and of a look that no words describe."""

from types import SimpleNamespace

import torch

from dopsd.evaluation import by_world
from dopsd.evaluation.instruments import View
from dopsd.evaluation.instruments.reader import OWN, ByReader
from dopsd.evaluation.rows import NEW, ORDINARY, of_kind
from dopsd.world.looks import LOOKS
from dopsd.world.outside import CONCEPTS
from dopsd.world.scenes import NAMES

NOTHING = torch.zeros(0, len(NAMES), dtype=torch.long)


def instrument(read: torch.Tensor, looks: torch.Tensor) -> ByReader:
    made = ByReader.__new__(ByReader)
    made.device = torch.device("cpu")
    made.reader = SimpleNamespace(read=lambda images: read, looks=lambda images: looks)
    return made


def view(kind, own, rows) -> View:
    return View(kind, rows, [torch.zeros(3, 64, 64)] * len(rows), (), own)


def test_each_own_attribute_has_a_score_and_one_that_is_not_the_concepts_has_none():
    rows, own = of_kind(by_world.for_concept("beacon", 3, 1, 0, NOTHING, 0.5), NEW), CONCEPTS["beacon"].attributes
    read = by_world.scenes_of(rows).attributes.clone()
    k = NAMES.index("colour")
    read[1:, k] = (read[1:, k] + 1) % 2  # another colour in two of three
    seen, by = view(NEW, own, rows), instrument(read, torch.zeros(3, len(LOOKS)))
    assert by.score(f"{OWN}shape", seen).tolist() == [1, 1, 1] and by.score(f"{OWN}colour", seen).tolist() == [1, 0, 0]
    assert by.score("concept_fidelity", seen).tolist() == [1, 0.75, 0.75]
    others = set(NAMES) - set(own)
    assert others and all(by.score(f"{OWN}{a}", seen) is None for a in others)


def test_a_look_without_words_is_what_the_classifier_of_looks_sees():
    rows = of_kind(by_world.for_concept("riso", 4, 1, 0, NOTHING, 0.5), NEW)
    looks = torch.full((4, len(LOOKS)), 0.01)
    looks[:, list(LOOKS).index("riso")] = torch.tensor([0.9, 0.2, 0.51, 0.5])
    by = instrument(by_world.scenes_of(rows).attributes, looks)
    for kind, score in ((NEW, "concept_fidelity"), (ORDINARY, "leakage")):
        assert by.score(score, view(kind, {"look": "riso"}, rows)).tolist() == [1, 0, 1, 0]
    for score in ("style", *(f"{OWN}{a}" for a in NAMES), "leakage_open", "leakage_named"):
        assert by.score(score, view(NEW, {"look": "riso"}, rows)) is None
    assert by.score("adherence", view(NEW, {"look": "riso"}, rows)).tolist() == [1] * 4
