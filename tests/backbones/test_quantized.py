"""The frozen base in fewer bits."""

import pytest
import torch

from dopsd import backbones
from dopsd.backbones import quantized
from dopsd.support.errors import UserError
from dopsd.training.loop import save_weights
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


def test_fp8_takes_the_large_layers_only(settings, monkeypatch):
    from torchao.float8.float8_linear import Float8Linear

    transformer = backbones.load(settings).transformer
    linear = [m for m in transformer.modules() if isinstance(m, torch.nn.Linear)]
    monkeypatch.setattr(quantized, "SMALLEST", 128)
    large = sum(min(m.weight.shape) >= 128 for m in linear)
    weights = {name: p.clone() for name, p in transformer.named_parameters()}
    quantized.multiply_in_fp8(transformer)
    assert 0 < sum(isinstance(m, Float8Linear) for m in transformer.modules()) == large < len(linear)
    assert all(torch.equal(p, weights[name]) for name, p in transformer.named_parameters())


def test_what_is_missing_is_named(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    with pytest.raises(UserError, match=r"fp8 needs a CUDA GPU, not cpu; choose int8 or none"):
        quantized.check("fp8", cpu, True)
    with pytest.raises(UserError, match=r"fp8 needs backbone.compile_blocks true"):
        quantized.check("fp8", cuda, False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="the package bitsandbytes is missing; `pip install bitsandbytes`"):
        quantized.check("nf4", cuda, False)
    quantized.check("none", cpu, False)
