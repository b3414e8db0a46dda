"""The evaluation against a model that is known to be perfect, blurred, or copying: the scores have to say so."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from dopsd.config.study import Evaluate
from dopsd.evaluation import prompts, scores
from dopsd.evaluation.sheets import asked, draw_sheets, keep, kept, ordinary, sheets
from dopsd.support.errors import UserError
from dopsd.support.pictures import contact_sheet, tiles
from dopsd.world.concepts import ConceptPictures, training_scenes
from dopsd.world.scenes import CONCEPTS, render

SETTINGS = Evaluate(scenes=4, noises=2, ordinary=10, nfe=(2, 3), nfe_sweep=(1, 2, 3), renders=12, batch_size=5)


class Painter:
    """A backbone whose context is the picture to be drawn: its velocity field leads straight to it from any noise."""

    device = torch.device("cpu")

    def __init__(self, known: list[prompts.Prompts], change=lambda images: images):
        self.pictures = {t: p for k in known for t, p in zip(k.texts, change(render(k.scenes)), strict=True)}

    def latent_shape(self, height, width):
        return 3, height, width

    def step_grid(self, steps, size=None):
        return torch.linspace(0, 1, steps + 1)

    def context(self, texts):
        return [self.pictures[t] for t in texts]

    def velocity(self, x_t, t, context):
        return (torch.stack(context) - x_t) / (1 - t[:, None, None, None])

    def decode(self, latents):
        return latents.clamp(-1, 1)


class Oracle:
    """Reads a picture as the known scene that it is nearest to."""

    def __init__(self, known: list[prompts.Prompts]):
        self.images = torch.cat([self.features(render(k.scenes)) for k in known])
        self.attributes = torch.cat([k.scenes.attributes for k in known])

    def features(self, images):
        return F.avg_pool2d(images, 16).flatten(1)

    def read(self, images):
        return self.attributes[torch.cdist(self.features(images), self.images).argmin(1)]


class Eyes:
    def image_features(self, images):
        return F.normalize(F.avg_pool2d(images, 8).flatten(1), dim=1)


@pytest.fixture(scope="module")
def cell():
    concept = CONCEPTS["beacon"]
    scenes = training_scenes(concept, 3, 0)
    training = ConceptPictures(concept, render(scenes), scenes.attributes)
    wanted = asked(training, SETTINGS, 0, described=False)
    known = [wanted["scenes"], wanted["ordinary"]]
    tools = scores.Instruments(Oracle(known), Eyes())
    plain = [s for s in sheets(SETTINGS, [0], every_nfe=True) if s[1] == "ordinary"]
    drawn = draw_sheets(Painter(known), iter([0]), {"ordinary": ordinary(SETTINGS, 0)}, plain, 0, 5)
    untouched = {nfe: images for (_, _, nfe), images in drawn}
    renders = scores.render_features(tools.reader, SETTINGS, 0)
    return SimpleNamespace(
        known=known, training=training, untouched=untouched, renders=renders, tools=tools, wanted=wanted
    )


def run(cell, backbone, steps, every_nfe=False):
    todo = sheets(SETTINGS, steps, every_nfe) if steps != [0] else [(0, "scenes", 2)]
    pictures = dict(draw_sheets(backbone, iter(steps), cell.wanted, todo, 0, SETTINGS.batch_size))
    scored = scores.score_cell(pictures, cell.untouched, cell.renders, cell.wanted, cell.training, cell.tools, SETTINGS)
    return scored, pictures


def values(numbers):
    return {k: v["value"] for k, v in numbers.items()}


def test_what_a_cell_draws():
    every = [
        (1, "scenes", 2),
        (9, "scenes", 2),
        *((s, "ordinary", n) for s in (1, 9) for n in (2, 3)),
        (9, "ordinary", 1),
    ]
    assert sorted(sheets(SETTINGS, [1, 9], every_nfe=True)) == sorted(every)
    assert (9, "ordinary", 1) not in sheets(SETTINGS, [1, 9], every_nfe=False)


def test_kept_pictures_are_those_that_were_drawn(cell, tmp_path):
    _, pictures = run(cell, Painter(cell.known), [10])
    for sheet, images in pictures.items():
        keep(images, tmp_path, sheet)
    again = kept(tmp_path, list(pictures), {k: len(p.texts) for k, p in cell.wanted.items()})
    assert again.keys() == pictures.keys() and all(torch.equal(again[k], v) for k, v in pictures.items())


def test_no_checkpoint_is_an_error(cell):
    with pytest.raises(UserError, match="no checkpoint to draw with"):
        list(draw_sheets(Painter(cell.known), iter([]), cell.wanted, [(1, "scenes", 2)], 0, 5))


def test_a_perfect_model_scores_full_marks(cell):
    scored, pictures = run(cell, Painter(cell.known), [10, 20], every_nfe=True)
    assert list(scored["steps"]) == ["10", "20"]
    assert list(scored["steps"]["10"]["ordinary"]) == ["2"]
    assert sorted(scored["steps"]["20"]["ordinary"]) == ["1", "2", "3"]
    scene = values(scored["steps"]["20"]["scenes"]["2"])
    for name in ("concept_fidelity", "adherence", "style"):
        assert scene[name] == 1.0
    assert scene["sharpness"] == pytest.approx(1, abs=0.01)
    assert scene["diversity"] == pytest.approx(0, abs=1e-5)
    assert scene["copying"] == pytest.approx(scene["copying_renders"], abs=1e-3)
    ordinary = values(scored["steps"]["20"]["ordinary"]["2"])
    assert ordinary["retention_frechet"] == pytest.approx(0, abs=1e-3)
    assert ordinary["retention_adherence"] == ordinary["retention_sharpness"] == pytest.approx(1, abs=1e-3)
    assert values(scored["steps"]["10"]["few_step_gap"]) == pytest.approx({"frechet": 1, "sharpness": 1}, abs=1e-3)
    assert values(scored["steps"]["20"]["few_step_gap"]) == pytest.approx({"frechet": 1, "sharpness": 1}, abs=1e-3)
    assert pictures[20, "scenes", 2].shape == (8, 3, 64, 64)


def test_an_untouched_model_is_its_own_reference_and_draws_nothing_anew(cell):
    painter = Painter(cell.known[:1])
    painter.pictures |= {t: torch.zeros(3, 64, 64) for t in cell.known[1].texts}  # would show if drawn
    scored, _ = run(cell, painter, [0])
    assert values(scored["steps"]["0"]["ordinary"]["2"])["retention_frechet"] == pytest.approx(0, abs=1e-3)


def test_blur_shows_in_sharpness_and_retention(cell):
    blurred = Painter(cell.known, lambda images: F.avg_pool2d(images, 5, stride=1, padding=2))
    scored, _ = run(cell, blurred, [10])
    scene, ordinary = (values(scored["steps"]["10"][k]["2"]) for k in ("scenes", "ordinary"))
    assert scene["sharpness"] < 0.5 and ordinary["retention_sharpness"] < 0.5
    assert ordinary["retention_frechet"] > 1e-3


def test_collapse_in_few_steps_shows_in_the_gap(cell):
    sharp = render(cell.known[1].scenes)
    blurred = F.avg_pool2d(sharp, 5, stride=1, padding=2)
    gap = scores.few_step_gap(blurred, sharp, cell.renders, cell.tools)
    assert gap["sharpness"]["high"] < 1


def test_copying_a_training_picture_is_seen(cell):
    copy = Painter(cell.known, lambda images: cell.training.images[:1].expand_as(images))
    scene = values(run(cell, copy, [10])[0]["steps"]["10"]["scenes"]["2"])
    assert scene["copying"] == pytest.approx(1, abs=1e-4) and scene["copying"] > scene["copying_renders"]


def test_every_number_has_its_interval(cell):
    def check(x):
        if "value" in x:
            assert set(x) == {"value", "low", "high", "n"}
            assert x["low"] <= x["value"] <= x["high"]
        else:
            for child in x.values():
                check(child)

    check(run(cell, Painter(cell.known), [10])[0])


def test_a_contact_sheet_comes_apart_again():
    images = torch.rand(5, 3, 4, 4)
    sheet = contact_sheet(images, columns=3)
    assert sheet.shape == (3, 8, 12)
    assert torch.equal(tiles(sheet, 4)[:5], images)
    assert (tiles(sheet, 4)[5] == 1).all()
