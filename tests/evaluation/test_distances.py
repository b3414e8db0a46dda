import pytest
import torch
import torch.nn.functional as F

from dopsd.evaluation import distances
from dopsd.evaluation.instruments.sharpness import sharpness
from dopsd.evaluation.statistics import jackknife


def features(n: int, shift: float = 0.0, seed: int = 0, d: int = 8) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + shift


def test_frechet_of_equal_sets_is_zero_and_of_a_pure_shift_its_square():
    a = features(200)
    assert distances.frechet(a, a) == pytest.approx(0, abs=1e-4)
    assert distances.frechet(a + 2.0, a) == pytest.approx(8 * 2.0**2, rel=1e-4)


def test_kid_is_near_zero_on_one_distribution_and_grows_with_a_shift():
    a, b = features(300, seed=1), features(300, seed=2)
    assert abs(distances.kid(a, b)) < 0.05
    assert distances.kid(a, b + 1.0) > 0.5


def test_kid_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    distances.kid(features(20), features(20, seed=1))
    assert torch.equal(torch.rand(1), expected)


def test_jackknife_of_a_mean_is_the_textbook_standard_error():
    x = features(50, d=1).flatten().double()
    out = jackknife(lambda k: x[k].mean().item(), len(x), len(x))
    error = (x.std() / len(x) ** 0.5).item()
    assert out["value"] == pytest.approx(x.mean().item())
    assert out["high"] - out["low"] == pytest.approx(2 * 1.96 * error)
    assert out["n"] == 50


def test_sharpness_falls_with_blur_and_is_zero_for_a_flat_picture():
    noise = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    blurred = F.avg_pool2d(noise, 3, stride=1, padding=1)
    assert (sharpness(blurred) < 0.5 * sharpness(noise)).all()
    assert sharpness(torch.full((1, 3, 8, 8), 0.3)).item() == pytest.approx(0, abs=1e-10)


def test_sharpness_is_per_picture():
    pictures = torch.stack([torch.zeros(3, 8, 8), torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))])
    first, second = sharpness(pictures)
    assert first == 0 and second > 0
