"""Blur moves steepness and nothing else does: not which outline or style is drawn, not contrast, not fog."""

from types import SimpleNamespace

import pytest
import torch

from dopsd.evaluation.instruments import View, blur
from dopsd.evaluation.instruments.reader import load_reader
from dopsd.evaluation.instruments.sharpness import sharpness
from dopsd.evaluation.rows import NEW
from dopsd.mini.degradations import otherwise
from dopsd.support.seeds import stream
from dopsd.world import damage
from dopsd.world.scenes import NAMES, render, sample_scenes

N = 24
A_BIT = 0.05  # how far an outline or a style may move the instrument


@pytest.fixture(scope="module")
def reader():
    return load_reader()


@pytest.fixture(scope="module")
def scenes():
    return sample_scenes(N, stream("test blur"), {"style": "photo"})


def by(what, images, amount):
    return what(images, torch.full((len(images),), amount))


def mean(images, reader, name="steepness"):
    return blur.relative(images, reader)[name].mean().item()


def test_blur_lowers_steepness_step_by_step(scenes, reader):
    found = [mean(by(damage.blur, render(scenes), s), reader) for s in (0.0, 0.4, 0.6, 0.8, 1.0)]
    assert found == sorted(found, reverse=True)
    assert found[0] == pytest.approx(1, abs=A_BIT) and found[3] < 0.75


@pytest.mark.parametrize("word", ["inked", "haloed", "mosaic", "watercolour"])
def test_which_outline_or_style_is_drawn_moves_it_by_a_bit_only(word, scenes, reader):
    images = render(otherwise(scenes, word))
    assert mean(images, reader) == pytest.approx(1, abs=A_BIT)
    plain = render(otherwise(scenes, "unlined"))
    moved = (sharpness(images).mean() / sharpness(plain).mean()).item()
    assert moved > 2 or moved < 0.5  # the Laplacian, beside it


def test_contrast_and_fog_leave_steepness_and_lower_contrast(scenes, reader):
    images = render(scenes)
    for x, left in ((by(damage.faded, images, 0.5), 0.5), (by(damage.fog, images, 0.4), 0.6)):
        assert torch.allclose(blur.steepness(x), blur.steepness(images), atol=1e-4)
        assert torch.allclose(blur.contrast(x), left * blur.contrast(images), atol=1e-5)


def test_a_step_is_steep_and_a_blank_has_no_edge():
    step = torch.ones(1, 3, 32, 32)
    step[..., 16:] = -1
    assert blur.steepness(step).item() == pytest.approx(1)
    ramp = torch.linspace(-1, 1, 32).expand(1, 3, 32, 32)
    assert blur.steepness(ramp).item() == pytest.approx(1 / 6)  # of six steps in seven pixels
    assert blur.steepness(torch.zeros(1, 3, 32, 32)).item() == 0


def test_a_largest_gradient_lies_within_its_window():
    """An edge beside a window belongs to the window that holds it: none is steeper than a step."""
    images = torch.rand(4, 3, 24, 24, generator=stream("test window")) * 2 - 1
    assert blur.steepness(images).max() <= 1


def test_renders_to_compare_with_show_what_is_read_and_the_rest_at_random(scenes):
    read = otherwise(scenes, "sketch").attributes
    first, again, other = blur.like(read, 0), blur.like(read, 0), blur.like(read, 1)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.shape == (N, 3, 64, 64)


def test_the_instrument_gives_a_number_a_picture_and_reads_blur_in_pixels(scenes, reader):
    of = SimpleNamespace(reader=reader, images=lambda view: torch.stack(list(view.images)))
    made = blur.Blur(blur.Settings(), torch.device("cpu"), lambda name: of)
    images = render(scenes)
    clean, blurred = (View(NEW, (), list(x)) for x in (images, by(damage.blur, images, 1.0)))
    assert set(made.scores) == {"steepness", "contrast", "blur_read"}
    for name in made.scores:
        assert made.score(name, clean).shape == (N,)
    assert made.score("blur_read", clean).mean() < 0.2 < 0.7 < made.score("blur_read", blurred).mean() < 1.3
    assert made.score("steepness", blurred).mean() < made.score("steepness", clean).mean() - 0.3


def test_what_is_hidden_is_no_matter_of_the_reader(scenes):
    """Two readings that differ in what the style hides are compared with the same renders."""
    read = otherwise(scenes, "mosaic").attributes
    guess = read.clone()
    guess[:, NAMES.index("outline")] = 2
    assert torch.equal(blur.like(read, 0), blur.like(guess, 0))
