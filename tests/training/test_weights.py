"""The weights that a training tunes, on a linear layer."""

from types import SimpleNamespace

import pytest
import torch

from dopsd.support import sealed
from dopsd.support.errors import UserError
from dopsd.training import weights
from dopsd.training.weights import Adapter, Offloaded, Whole, begin


class Layer(torch.nn.Linear):
    """A linear layer that saves itself as diffusers' models do."""

    unknown = ()

    def __init__(self, dtype=torch.float32):
        super().__init__(2, 1, bias=True, dtype=dtype)
        self.requires_grad_(False)
        with torch.no_grad():
            self.weight.copy_(torch.tensor([[1.0, 2.0]]))
            self.bias.fill_(3.0)

    def save_pretrained(self, folder):
        folder.mkdir()
        torch.save(self.state_dict(), folder / "model.pt")

    @classmethod
    def from_pretrained(cls, folder, use_safetensors, output_loading_info):
        assert use_safetensors is True and output_loading_info is True
        layer = cls()
        layer.load_state_dict(torch.load(folder / "model.pt"))
        return layer, {"missing_keys": [], "unexpected_keys": cls.unknown}


def backbone(dtype=torch.float32, quantize="none"):
    return SimpleNamespace(
        transformer=Layer(dtype),
        dtype=dtype,
        device=torch.device("cpu"),
        settings=SimpleNamespace(quantize=quantize),
    )


def settings(tune="full", offload=False):
    return SimpleNamespace(tune=tune, offload=offload, merged_teacher=False)


def values(tensors) -> list[float]:
    return torch.cat([t.detach().float().flatten() for t in tensors]).tolist()


BOTH = pytest.mark.parametrize("offload", [False, True])
TYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


def test_what_is_tuned_is_what_the_settings_say(monkeypatch):
    given = []
    monkeypatch.setattr("dopsd.training.lora.add", lambda *arguments: given.append(arguments) or ["p"])
    model, how = backbone(), settings("lora")
    adapter = begin(model, how, 7)
    assert type(adapter) is Adapter and adapter.parameters == adapter.trained == ["p"]
    assert given == [(model.transformer, "student", how, 7)]
    assert type(begin(backbone(), settings("full"), 0)) is Whole
    assert type(begin(backbone(), settings("full", True), 0)) is Offloaded


@BOTH
def test_quantized_weights_cannot_be_tuned_in_full(offload):
    with pytest.raises(
        UserError,
        match=r"^train\.tune full needs backbone\.quantize none: quantized weights cannot be trained$",
    ):
        begin(backbone(quantize="int8"), settings("full", offload), 0)


@BOTH
@TYPES
def test_masters_are_float32_and_trainable(offload, dtype):
    model = backbone(dtype)
    tuned = begin(model, settings("full", offload), 0)
    assert values(tuned.parameters) == [1.0, 2.0, 3.0]
    assert all(p.dtype == torch.float32 and p.requires_grad and p.is_leaf for p in tuned.parameters)
    own = list(model.transformer.parameters())
    assert all(p.requires_grad for p in own) and all(a is b for a, b in zip(tuned.trained, own, strict=True))
    assert own[0].dtype == (dtype if offload else torch.float32)
    assert (tuned.parameters[0] is own[0]) != offload
    assert (tuned.parameters[0].data_ptr() == own[0].data_ptr()) != offload


@BOTH
@TYPES
def test_the_teacher_speaks_with_what_was_written_and_refreshed(offload, dtype):
    model = backbone(dtype)
    tuned = begin(model, settings("full", offload), 0)
    student = model.transformer
    theirs = tuned.add_teacher()
    assert values(theirs) == [1.0, 2.0, 3.0] and all(t.dtype == torch.float32 for t in theirs)
    assert (theirs[0].data_ptr() == tuned._speaker.weight.data_ptr()) == (dtype == torch.float32)  # kept once if it can
    x = torch.ones(1, 2)
    for t in theirs:
        t += 2.0**-12  # too little for bfloat16, kept in float32
    tuned.refresh()
    assert values(theirs) == [1 + 2.0**-12, 2 + 2.0**-12, 3 + 2.0**-12] and values(tuned.parameters) == [1.0, 2.0, 3.0]
    for t in theirs:
        t += 1.0 - 2.0**-12
    with tuned.teacher():
        assert model.transformer is not student
        assert not any(p.requires_grad for p in model.transformer.parameters())
        if dtype == torch.bfloat16:
            assert model.transformer(x.to(dtype)).item() == 6.0  # not yet
        tuned.refresh()
        assert model.transformer(x.to(dtype)).item() == 9.0 and model.transformer.weight.dtype == dtype
    assert model.transformer is student and values(student.parameters()) == [1.0, 2.0, 3.0]
    with pytest.raises(KeyError), tuned.teacher():
        raise KeyError
    assert model.transformer is student


@BOTH
@TYPES
@pytest.mark.parametrize("with_teacher", [True, False])
def test_a_state_is_all_weights_by_name_and_comes_back(offload, dtype, with_teacher):
    model = backbone(dtype)
    tuned = begin(model, settings("full", offload), 0)
    theirs = tuned.add_teacher() if with_teacher else []
    for t in theirs:
        t += 1
    kept = {who: {k: v.clone() for k, v in named.items()} for who, named in tuned.state().items()}
    assert {who: {k: v.tolist() for k, v in named.items()} for who, named in kept.items()} == {
        "student": {"weight": [[1.0, 2.0]], "bias": [3.0]}
    } | ({"teacher": {"weight": [[2.0, 3.0]], "bias": [4.0]}} if with_teacher else {})
    assert not any(v.requires_grad for named in tuned.state().values() for v in named.values())
    with torch.no_grad():
        for p in (*tuned.parameters, *theirs, *tuned.trained):
            p.mul_(5)
    if with_teacher:
        tuned.refresh()
    tuned.restore(kept)
    assert values(tuned.parameters) == values(tuned.trained) == [1.0, 2.0, 3.0]
    if with_teacher:
        assert values(theirs) == [2.0, 3.0, 4.0]
        with tuned.teacher():
            assert values(model.transformer.parameters()) == [2.0, 3.0, 4.0]


def test_offloaded_gradients_go_to_the_masters_and_their_step_comes_back():
    model = backbone(torch.bfloat16)
    tuned = begin(model, settings("full", True), 0)
    spoken = list(model.transformer.parameters())
    spoken[0].grad = torch.tensor([[0.5, 0.25]], dtype=torch.bfloat16)
    tuned.gather()
    weight, bias = tuned.parameters
    assert weight.grad.tolist() == [[0.5, 0.25]] and weight.grad.dtype == torch.float32 and bias.grad is None
    assert not spoken[0].grad.any()
    with torch.no_grad():
        weight.fill_(7.0)
    tuned.scatter()
    assert values(spoken) == [7.0, 7.0, 3.0] and spoken[0].requires_grad


def test_whole_weights_have_nothing_to_gather_or_scatter():
    tuned = begin(backbone(), settings(), 0)
    for p in tuned.parameters:
        p.grad = torch.ones_like(p)
    tuned.gather()
    tuned.scatter()
    assert values(tuned.parameters) == [1.0, 2.0, 3.0] and all(p.grad.all() for p in tuned.parameters)


@BOTH
def test_saved_weights_are_the_students_and_are_put_on_another_backbone(offload, tmp_path):
    tuned = begin(backbone(), settings("full", offload), 0)
    with torch.no_grad():
        for p in tuned.parameters:
            p.add_(1.0)
    tuned.scatter()
    tuned.save(tmp_path)
    assert [f.name for f in tmp_path.iterdir()] == ["transformer"]
    other = backbone()
    assert weights.put(other, tmp_path) == 2
    assert values(other.transformer.parameters()) == [2.0, 3.0, 4.0]


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_an_adapter_is_put_on_merged_unless_weights_are_quantized(monkeypatch, tmp_path, quantize):
    given = []
    monkeypatch.setattr("dopsd.training.lora.load", lambda *a, **k: given.append((a, k)))
    model = backbone(quantize=quantize)
    weights.put(model, tmp_path)
    assert given == [((model.transformer, tmp_path), {"merge": quantize == "none"})]


@pytest.mark.parametrize("error", [RuntimeError, ValueError, OSError])
def test_weights_that_do_not_fit_are_one_clear_error(tmp_path, monkeypatch, error):
    (tmp_path / "transformer").mkdir()

    def broken(*_, **__):
        raise error("first line\nsecond line")

    monkeypatch.setattr(Layer, "from_pretrained", broken)
    with pytest.raises(UserError, match=r"/transformer: does not fit this model \(first line\); train it again$"):
        weights.put(backbone(), tmp_path)


def test_an_adapters_teacher_is_an_adapter_beside_it(backbone, train_settings):
    tuned = begin(backbone, train_settings, 0)
    for p in tuned.parameters:
        p.data += 0.5
    theirs = tuned.add_teacher()
    assert all(
        torch.equal(a, b) and a.data_ptr() != b.data_ptr() for a, b in zip(theirs, tuned.parameters, strict=True)
    )
    assert all(p.requires_grad for p in tuned.parameters)
    kept = tuned.state()
    assert list(kept) == ["student", "teacher"]
    kept = {who: {k: v.clone() for k, v in named.items()} for who, named in kept.items()}
    for p in (*theirs, *tuned.parameters):
        p.data.zero_()
    tuned.restore(kept)
    for a, b in zip(theirs, tuned.parameters, strict=True):
        assert torch.equal(a, b) and a.any()


def test_whole_weights_that_are_damaged_not_finite_or_of_other_names_are_one_clear_error(tmp_path, monkeypatch):
    tuned = begin(backbone(), settings(), 0)
    tuned.save(tmp_path)
    sealed.seal(tmp_path, "me")
    assert weights.put(backbone(), tmp_path) == 2
    with monkeypatch.context() as patch:
        patch.setattr(Layer, "unknown", ["strange"])
        with pytest.raises(UserError, match=r"fit this model \(1 tensors are missing or unknown, e\.g\. strange\)"):
            weights.put(backbone(), tmp_path)
    with torch.no_grad():
        tuned.parameters[0].fill_(float("inf"))
    (tmp_path / "transformer" / "model.pt").unlink()
    torch.save(tuned.backbone.transformer.state_dict(), tmp_path / "transformer" / "model.pt")
    with pytest.raises(sealed.Damaged, match=r"model\.pt: damaged"):
        weights.put(backbone(), tmp_path)
    (tmp_path / sealed.FILE).unlink()
    with pytest.raises(
        UserError, match=r"/transformer: 1 of 2 tensors are not finite \(the first: weight\); train it again"
    ):
        weights.put(backbone(), tmp_path)
