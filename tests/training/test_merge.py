"""A LoRA in weights of its own."""

import copy
from types import SimpleNamespace

import pytest
import torch
from diffusers import ModelMixin
from diffusers.loaders import PeftAdapterMixin

from dopsd import backbones
from dopsd.backbones import quantized
from dopsd.backbones.quantized import LARGEST, Fp8Linear, by_row, multiply_in_fp8
from dopsd.support.errors import UserError
from dopsd.training import lora
from dopsd.training import merge as merging
from dopsd.training.merge import HEADROOM, dithered, merge
from dopsd.training.teacher import Teacher
from dopsd.training.weights import begin


def parts(n=96, k=128, r=4, size=1e-3):
    generator = torch.Generator().manual_seed(0)
    weight = (torch.randn(n, k, generator=generator) * 0.01).bfloat16()
    return weight, torch.randn(r, k, generator=generator), torch.randn(n, r, generator=generator) * size


def kept(out, weight, exact):
    """How much of a change arrives, on the average."""
    change = exact.double() - weight.double()
    return float(((out.double() - weight.double()) * change).sum() / change.square().sum())


def test_a_change_below_the_last_digit_counts_on_the_average():
    weight, a, b = parts(1024, 1024, size=2e-6)
    exact = weight.float() + 2 * b @ a
    assert kept(exact.bfloat16(), weight, exact) < 0.8  # what rounding to the nearest leaves of it
    out = torch.empty_like(weight)
    merge(out, None, weight, a, b, 2.0)
    assert kept(out, weight, exact) == pytest.approx(1, abs=0.05)
    assert torch.equal(dithered(weight.float()), weight) and dithered(weight.float()).dtype == torch.bfloat16
    assert dithered(torch.empty(2, 3, device="meta")).device.type == "meta"  # computed where the weights are
    codes, scales = by_row(weight)
    merge(codes, scales, weight, a, b * 300, 2.0)
    exact = weight.float() + 600 * b @ a
    assert kept(codes.float() * scales, weight, exact) == pytest.approx(1, abs=0.1)


def test_nothing_added_is_nothing_changed():
    weight, a, b = parts()
    out, (codes, scales) = torch.empty_like(weight), by_row(weight)
    merge(out, None, weight, a, 0 * b, 2.0)
    assert torch.equal(out, weight)
    again = torch.empty_like(codes)
    merge(again, scales * HEADROOM, weight, a, 0 * b, 2.0)
    assert torch.allclose(again.float() * HEADROOM, codes.float(), rtol=0, atol=2**-9)  # the smallest have a digit less


def test_a_lora_is_multiplied_in_the_weights_type():
    weight, a, b = parts(size=1.0)
    out = torch.empty(weight.shape)
    merge(out, None, weight, a, b, 2.0)
    assert torch.equal(out, weight.float() + (2 * b).bfloat16().float() @ a.bfloat16().float())
    assert not torch.equal(out, weight.float() + (2 * b) @ a)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_weight_that_outgrows_fp8_is_cut_off(sign):
    weight = torch.full((2, 3), sign * 0.5).bfloat16()
    codes, scales = by_row(weight)
    merge(codes, scales, weight, torch.full((1, 3), sign * 1.0), torch.ones(2, 1), 1000.0)
    assert torch.equal(codes.float(), torch.full((2, 3), sign * LARGEST))


class There(torch.Tensor):
    """As if it were on a GPU."""

    is_cuda = True


@pytest.mark.parametrize(("dtype", "passes"), [(torch.bfloat16, 1), (torch.float32, 0)])
def test_on_a_gpu_bf16_weights_are_merged_in_one_pass(monkeypatch, dtype, passes):
    weight, a, b = parts()
    weight, seen = weight.to(dtype), []
    monkeypatch.setattr(merging, "triton", object())
    monkeypatch.setattr(merging, "_in_one_pass", lambda *given: seen.append(given))
    out = torch.zeros(weight.shape, dtype=dtype).as_subclass(There)
    merge(out, "scales" if passes else None, weight, a, b, 2.0)
    assert len(seen) == passes and bool(out.any()) != passes
    for there, scales, w, mine, theirs in seen:
        assert there is out and scales == "scales" and w is weight
        assert torch.equal(mine, a.to(dtype)) and torch.equal(theirs, (2 * b).to(dtype))


@pytest.fixture
def merged(train_settings):
    return train_settings.model_copy(update={"merged_teacher": True})


@pytest.mark.parametrize(("dtype", "part"), [("float32", 1e-5), ("bfloat16", 0.03)])  # bf16 is 2 % from float32
def test_equal_weights_and_contexts_give_a_loss_of_nothing(settings, merged, dtype, part):
    backbone = backbones.load(settings.model_copy(update={"dtype": dtype}))
    x, t, context = torch.randn(2, 8, 16, 16), torch.full((2,), 0.25), backbone.context(["a [V]", "a red disc"])
    untouched = backbone.velocity(x, t, context)
    weights = begin(backbone, merged, seed=0)
    teacher = Teacher(weights, "ema", 0.0)  # follows the student at once
    assert torch.equal(teacher(backbone.velocity, x, t, context), untouched)
    for p in weights.parameters:
        p.data += 0.02
    teacher.update()
    u_s, u_t = backbone.velocity(x, t, context), teacher(backbone.velocity, x, t, context)
    assert (u_s - untouched).norm() > 0.1 * untouched.norm()
    assert (u_s - u_t).norm() < part * u_s.norm()
    assert u_s.requires_grad and not u_t.requires_grad and all(p.requires_grad for p in weights.parameters)


def test_the_merged_weights_stay_in_their_memory_and_are_restored(backbone, merged):
    weights = begin(backbone, merged, seed=0)
    teacher = Teacher(weights, "ema", 0.5)
    assert {p.dtype for p in teacher.parameters} == {torch.float32}
    where = [out.data_ptr() for out, *_ in weights._merges]
    for p in weights.parameters:
        p.data += 0.02
    teacher.update()
    state, moved = copy.deepcopy(weights.state()), [out.clone() for out, *_ in weights._merges]
    teacher.update()
    assert not torch.equal(weights._merges[0][0], moved[0])
    weights.restore(state)
    assert all(torch.equal(out, m) for (out, *_), m in zip(weights._merges, moved, strict=True))
    assert where == [out.data_ptr() for out, *_ in weights._merges]
    assert set(state) == {lora.STUDENT, lora.TEACHER}


class Layers(ModelMixin, PeftAdapterMixin):
    """A transformer of a layer that fp8 multiplies, and of one that is too small for it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.large = torch.nn.Linear(64, 32, bias=False, dtype=torch.bfloat16)
        self.small = torch.nn.Linear(32, 16, bias=False, dtype=torch.bfloat16)
        self.requires_grad_(False)

    def forward(self, x):
        return self.small(self.large(x))


@pytest.fixture
def opened(monkeypatch):
    """A backbone of `Layers`, multiplied as it is said."""
    monkeypatch.setattr(quantized, "SMALLEST", 32)

    def another(kind):
        assert kind in ("none", "fp8"), f"no kind that a base is kept in: {kind}"
        transformer = Layers()
        if kind == "fp8":
            multiply_in_fp8(transformer)
        return transformer

    return lambda kind: SimpleNamespace(
        settings=SimpleNamespace(quantize=kind), transformer=another(kind), opened=another
    )


@pytest.mark.parametrize("kind", ["none", "fp8"])
def test_a_teacher_speaks_as_the_student_from_the_moment_that_it_is_made(opened, merged, kind):
    """In fp8 with codes of its own, for the forward pass alone and with room for weights that grow."""
    backbone, x = opened(kind), torch.randn(8, 64).bfloat16()
    untouched = backbone.transformer(x)
    weights = begin(backbone, merged.model_copy(update={"lora_targets": ("large", "small")}), seed=0)
    for p in weights.parameters:
        p.data += 0.05
    student = backbone.transformer(x)
    weights.add_teacher()
    with weights.teacher():
        layer, spoken = backbone.transformer.large, backbone.transformer(x)
    assert (student - untouched).norm() > 0.5 * untouched.norm() and (spoken - student).norm() < 0.06 * student.norm()
    assert isinstance(layer, Fp8Linear) == (kind == "fp8")
    if kind == "fp8":
        assert layer.codes_t is None and torch.equal(layer.scales, HEADROOM * by_row(Layers().large.weight)[1])


def test_a_base_in_fewer_bits_is_not_merged(settings, merged):
    with pytest.raises(UserError, match=r"train\.merged_teacher needs backbone\.quantize none or fp8: int8"):
        begin(backbones.load(settings.model_copy(update={"quantize": "int8"})), merged, seed=0)


def test_a_narrow_layer_computes_what_peft_does(backbone, train_settings):
    from peft.tuners.lora.layer import Linear

    weights = begin(backbone, train_settings, seed=0)
    for p in weights.parameters:
        p.data += 0.02
    x, t, context = torch.randn(1, 8, 16, 16), torch.full((1,), 0.25), backbone.context(["a [V]"])
    found = []
    for kind in (lora.Narrow, Linear):
        layers = lora.layers(backbone.transformer).values()
        for layer in layers:
            layer.__class__ = kind
        backbone.velocity(x, t, context).square().mean().backward()
        found.append([p.grad for p in weights.parameters])
        backbone.transformer.zero_grad()
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))  # alpha / r is 2, and twice a number is exact
