"""The instrument of domains on pictures whose answer is known: renders of the domain, of another, of the world."""

import pytest
import torch

from dopsd.evaluation import by_domain
from dopsd.evaluation.instruments import Panel, View
from dopsd.evaluation.instruments.domain import world
from dopsd.evaluation.rows import NEW, ORDINARY, of_kind
from dopsd.sets.jsonl import read_set
from dopsd.support.errors import UserError
from dopsd.world.domains import renders, write_domain

N = 64


@pytest.fixture
def opened(request):
    settings = {"model": str(request.config.rootpath / "models/mini-reader"), "renders": 128}
    return Panel({"domain": settings}, torch.device("cpu"), "params.yaml").opened("domain")


@pytest.fixture
def view(tmp_path):
    def of(images, name="terrazzo", kind=NEW):
        write_domain(name, tmp_path / name, 4, seed=0)
        items = read_set(tmp_path / name / "data.jsonl")
        rows = of_kind(by_domain.rows(name, N, 1, N, 0, 0.15), kind)
        return View(kind, rows, list(images), items)

    return of


def scores(instrument, view):
    return {
        name: instrument.score(name, view)(torch.arange(len(view.images)))
        for name in ("domain_frechet", "domain_kid", "domain_nearness")
    }


def test_renders_of_the_domain_are_at_it_and_another_look_and_the_world_are_far(opened, view):
    mine = scores(opened, view(renders("terrazzo", N, "drawn")))
    other = scores(opened, view(renders("dusk", N, "drawn")))
    far = scores(opened, view(world(128).images[:N]))
    assert mine["domain_nearness"] > 0.85 and abs(far["domain_nearness"]) < 0.15 and other["domain_nearness"] < 0.3
    for name in ("domain_frechet", "domain_kid"):
        assert mine[name] < 0.15 * min(other[name], far[name])
    assert abs(mine["domain_kid"]) < 1  # unbiased: 0 but for chance


def test_single_pictures_are_read_as_of_the_domain(opened, view):
    seen = view(renders("terrazzo", N, "drawn"))
    assert opened.score("concept_fidelity", seen).mean() > 0.95
    assert opened.score("leakage", view(renders("terrazzo", N, "drawn"), kind=ORDINARY)).nanmean() > 0.9
    printed = view(renders("riso", N, "drawn"), "riso")
    assert opened.score("concept_fidelity", printed).mean() > 0.95
    assert opened.score("concept_fidelity", view(renders("dusk", N, "drawn"), "riso")).mean() < 0.05


def test_fewer_renders_than_pictures_are_refused(opened, view):
    with pytest.raises(UserError, match=r"instruments.domain.renders 128: fewer than the 192 pictures"):
        opened.score("domain_kid", view(renders("terrazzo", 192, "drawn")))
