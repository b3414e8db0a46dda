"""The frozen base in fewer bits."""

import pytest
import torch

from dopsd import backbones
from dopsd.backbones import quantized
from dopsd.support.errors import UserError
from dopsd.training.results import save_weights
from dopsd.training.weights import begin, put


def test_int8_weights_draw_nearly_the_same_and_carry_adapters(settings, train_settings, tmp_path):
    plain = backbones.load(settings)
    small = backbones.load(settings.model_copy(update={"quantize": "int8", "dtype": "bfloat16"}))
    x, t = torch.randn(1, 8, 16, 16), torch.tensor([0.25])
    context = plain.context(["a red disc"])
    with torch.no_grad():
        a, b = plain.velocity(x, t, context), small.velocity(x, t, context)
    assert (a - b).abs().mean() < 0.1 * a.abs().mean()
    weights = begin(small, train_settings, seed=0)
    assert all(p.dtype == torch.float32 for p in weights.parameters)
    small.velocity(x, t, context).square().mean().backward()
    assert sum(float(p.grad.abs().sum()) for p in weights.parameters if p.grad is not None) > 0
    for p in weights.parameters:
        p.data += 0.02
    save_weights(weights, tmp_path / "step")
    with torch.no_grad():
        changed = small.velocity(x, t, context)
        fresh = backbones.load(small.settings)
        put(fresh, tmp_path / "step")  # kept beside the weights, which cannot take it
        assert torch.allclose(fresh.velocity(x, t, context), changed, atol=0.02)
        put(fresh, tmp_path / "step")
        assert torch.allclose(fresh.velocity(x, t, context), changed, atol=0.02)


def test_quantized_weights_cannot_be_tuned_in_full(settings, train_settings):
    small = backbones.load(settings.model_copy(update={"quantize": "int8"}))
    with pytest.raises(UserError, match=r"train\.tune full needs backbone\.quantize none"):
        begin(small, train_settings.model_copy(update={"tune": "full"}), seed=0)


def close(a, b, part):
    """Whether a is b within a part of b's norm."""
    return bool((a - b).norm() < part * b.norm())


def test_codes_with_their_scales_are_the_numbers():
    x = torch.randn(5, 64) * torch.tensor([1e-9, 1.0, 300.0, 0.0, 1e4])[:, None]
    codes, scales = quantized.by_row(x)
    assert codes.dtype == torch.float8_e4m3fn and codes.shape == (5, 64) and scales.shape == (5, 1)
    assert ((codes.float() * scales - x).abs() <= x.abs() / 16 + scales / 512).all()
    assert codes.float().abs().amax(1).tolist() == [448, 448, 448, 0, 448]


def test_a_layer_in_fp8_multiplies_forward_and_backward():
    torch.manual_seed(0)
    plain = torch.nn.Linear(64, 48, dtype=torch.float64).requires_grad_(False)
    layer = quantized.Fp8Linear(plain)
    x = torch.randn(2, 7, 64, dtype=torch.float64, requires_grad=True)
    dy = torch.randn(2, 7, 48, dtype=torch.float64)
    y = layer(x)
    (dx,) = torch.autograd.grad(y, x, dy)
    assert y.shape == dy.shape and close(y, plain(x), 0.06) and close(dx, dy @ plain.weight, 0.06)
    assert close(layer.weight, plain.weight, 0.04) and layer.weight.dtype == torch.float64
    # a column of w a hundred times as large changes nothing about the others: their gradients have scales of their own
    plain.weight[:, 3] *= 100
    (large,) = torch.autograd.grad(quantized.Fp8Linear(plain)(x), x, dy)
    assert torch.equal(large[..., 4:], dx[..., 4:]) and close(large[..., 3], 100 * dx[..., 3], 0.01)
    with torch.no_grad():
        spoken = quantized.Fp8Linear(plain, backward=False)
        assert torch.equal(spoken(x), quantized.Fp8Linear(plain)(x)) and spoken.codes_t is None


@pytest.fixture
def in_fp8(settings, monkeypatch):
    """Opens the miniature with its larger layers in fp8, on a CPU."""
    monkeypatch.setattr(quantized, "SMALLEST", 128)
    monkeypatch.setattr(quantized, "check", lambda *_: None)
    return lambda: backbones.load(settings.model_copy(update={"quantize": "fp8", "dtype": "bfloat16"}))


def test_fp8_takes_the_large_layers_only(settings, in_fp8):
    linear = [m for m in backbones.load(settings).transformer.modules() if isinstance(m, torch.nn.Linear)]
    large = sum(min(m.weight.shape) >= 128 for m in linear)
    transformer = in_fp8().transformer
    assert 0 < sum(isinstance(m, quantized.Fp8Linear) for m in transformer.modules()) == large < len(linear)
    names = {name for name, _ in transformer.named_parameters()}
    assert not any(
        f"{name}.weight" in names for name, m in transformer.named_modules() if type(m) is quantized.Fp8Linear
    )


def test_fp8_carries_adapters_and_their_checkpoints(settings, train_settings, in_fp8, tmp_path):
    x, t = torch.randn(1, 8, 16, 16), torch.tensor([0.25])
    plain, small = backbones.load(settings), in_fp8()
    context = plain.context(["a red disc"])
    weights = begin(small, train_settings, seed=0)
    with torch.no_grad():
        assert close(small.velocity(x, t, context), plain.velocity(x, t, context), 0.2)
    small.velocity(x, t, context).square().mean().backward()
    assert all(p.dtype == torch.float32 and p.grad is not None for p in weights.parameters)
    for p in weights.parameters:
        p.data += 0.02
    save_weights(weights, tmp_path / "step")
    with torch.no_grad():
        changed, fresh = small.velocity(x, t, context), in_fp8()
        put(fresh, tmp_path / "step")
        put(fresh, tmp_path / "step")
        assert torch.allclose(fresh.velocity(x, t, context), changed, atol=0.02)


def test_what_is_missing_is_named(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    with pytest.raises(UserError, match=r"fp8 needs a CUDA GPU, not cpu; choose int8 or none"):
        quantized.check("fp8", cpu, True)
    with pytest.raises(UserError, match=r"fp8 needs backbone.compile_blocks true"):
        quantized.check("fp8", cuda, False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 0))
    with pytest.raises(UserError, match=r"fp8 needs a GPU of compute capability 8\.9"):
        quantized.check("fp8", cuda, True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="the package bitsandbytes is missing; `pip install bitsandbytes`"):
        quantized.check("nf4", cuda, False)
    quantized.check("none", cpu, False)
