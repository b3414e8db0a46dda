"""Copies, of pictures whose answer is known: the training pictures, however damaged, and fresh renders."""

from pathlib import Path

import pytest
import torch

from dopsd.evaluation import by_rewrites, by_world
from dopsd.evaluation.instruments import View
from dopsd.evaluation.instruments.copies import Copies, Settings, fresh
from dopsd.evaluation.rows import REWRITE
from dopsd.sets.jsonl import read_set
from dopsd.world.concepts import write_concept_set
from dopsd.world.damage import blur, faded, fog, noise
from dopsd.world.looks import LOOKS
from dopsd.world.scenes import render

RENDERS = 63


@pytest.fixture(scope="module", params=["beacon", "terrazzo", "riso"])
def asked(request, tmp_path_factory):
    """A concept's name, the rows that ask for its training pictures again, and its items."""
    folder = tmp_path_factory.mktemp(request.param)
    write_concept_set(request.param, folder, images=4, seed=0)
    rows = by_rewrites.for_concept(request.param, 4, 0, 1, 0)
    return request.param, rows, read_set(folder / "data.jsonl")


def seen(asked, images) -> dict[str, torch.Tensor]:
    """Both scores of some pictures, one a row."""
    name, rows, items = asked
    own = {"look": name} if name in LOOKS else {"shape": "star"}
    view = View(REWRITE, rows, list(images), items, own)
    assert {"truth", "picture"} <= view.has()
    eye = Copies(Settings(renders=RENDERS), torch.device("cpu"), lambda name: pytest.fail(f"{name} was opened"))
    return {score: eye.score(score, view) for score in Copies.scores}


def pictures(asked) -> torch.Tensor:
    """The training picture that each row asks for."""
    name, rows, _ = asked
    images = render(by_world.scenes_of(rows))
    return LOOKS[name](images) if name in LOOKS else images


def test_a_training_picture_is_a_copy_however_it_is_damaged(asked):
    whole = pictures(asked)
    much, half, little = (torch.full((len(whole),), x) for x in (1.0, 0.5, 0.2))
    grain = noise(whole, little, torch.Generator().manual_seed(0))
    for images in (whole, blur(whole, much), faded(whole, half), fog(whole, half), grain):
        found = seen(asked, images)
        assert found["copied"].mean() == 1 and found["copy_rank"].min() == 1


def test_fresh_renders_of_the_scene_are_none(asked):
    name, rows, _ = asked
    scenes, look = by_world.scenes_of(rows), name if name in LOOKS else None
    others = [fresh(scenes[[k]], 6, f"others/{k}", look) for k in range(len(rows))]
    found = [seen(asked, [images[k] for images in others]) for k in range(6)]
    ranks = torch.stack([f["copy_rank"] for f in found])
    assert 0.3 < ranks.mean() < 0.7 and ranks.min() < 0.2 and ranks.max() < 1.01
    assert torch.stack([f["copied"] for f in found]).mean() < 0.15


def test_the_prompts_say_all_of_a_training_picture_in_other_words(asked):
    name, rows, items = asked
    assert len(rows) == 8 and len({r.id for r in rows}) == len({r.noise for r in rows}) == 8
    for row in rows:
        (item,) = [i for i in items if Path(i.file).name == row.picture]
        assert row.truth and row.text not in item.captions.values() and row.text.count("[V]") == 1
        assert {row.truth.attributes[a] for a in row.stated} <= set(row.text.replace(",", "").split())
        assert row.said == len(row.stated) / 9 and row.described and "[V]" not in row.described
    assert rows == by_rewrites.for_concept(name, 4, 0, 1, 0) != by_rewrites.for_concept(name, 4, 0, 1, 1)
