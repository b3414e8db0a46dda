"""Adapters on a tiny random transformer."""

import random
from types import SimpleNamespace

import pytest
import torch
from diffusers import ZImagePipeline, ZImageTransformer2DModel
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from dopsd.support import sealed
from dopsd.support.errors import UserError
from dopsd.training import lora

SETTINGS = SimpleNamespace(lora_rank=3, lora_alpha=6.0, lora_targets=("to_q", "w2"))
LAYERS = ("attention.to_q", "feed_forward.w2")


def transformer(dtype=torch.float32) -> ZImageTransformer2DModel:
    torch.manual_seed(0)
    size = {"in_channels": 4, "dim": 32, "n_layers": 1, "n_refiner_layers": 1, "n_heads": 2, "n_kv_heads": 2}
    size |= {"cap_feat_dim": 32, "axes_dims": [4, 6, 6], "axes_lens": [64, 16, 16]}
    return ZImageTransformer2DModel(**size).to(dtype).requires_grad_(False)


def speak(model) -> torch.Tensor:
    g = torch.Generator().manual_seed(1)
    x, told = torch.randn(4, 1, 4, 4, generator=g), torch.randn(5, 32, generator=g)
    with torch.no_grad():
        return model([x], torch.tensor([0.3]), [told], return_dict=False)[0][0]


def adapted(name=lora.STUDENT, seed=1):
    model = transformer()
    return model, lora.add(model, name, SETTINGS, seed)


def shaken(parameters, seed=0) -> None:
    g = torch.Generator().manual_seed(seed)
    for p in parameters:
        p.data += 0.3 * torch.randn(p.shape, generator=g)


def test_an_adapter_is_gaussian_times_zero_in_float32_and_changes_nothing():
    plain = speak(transformer())
    model, parameters = adapted()
    assert torch.equal(speak(model), plain)
    named = [(k, p) for k, p in model.named_parameters() if p.requires_grad]
    assert [p.data_ptr() for _, p in named] == [p.data_ptr() for p in parameters]
    assert len(named) == 2 * len(LAYERS) * 3  # layers of the context refiner, of the noise refiner, of the main stack
    for key, p in named:
        assert any(f"{layer}.lora_" in key for layer in LAYERS) and ".student." in key
        assert 3 in p.shape and bool(p.any()) == ("lora_A" in key)
        if "lora_A" in key:
            assert 0.2 < p.std() * 3 < 2  # peft's gaussian: a deviation of 1 / rank
    layers = [m for m in model.modules() if isinstance(m, BaseTunerLayer)]
    assert {m.scaling[lora.STUDENT] for m in layers} == {2.0}
    half = transformer(torch.bfloat16)
    assert {p.dtype for p in lora.add(half, lora.STUDENT, SETTINGS, 1)} == {torch.float32}


def test_an_adapter_is_a_function_of_its_seed_and_leaves_the_random_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    (_, a), (_, b), (_, other) = adapted(seed=1), adapted(seed=1), adapted(seed=2)
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert any(not torch.equal(x, y) for x, y in zip(a, other, strict=True))
    model = transformer()
    torch.manual_seed(5)
    lora.add(model, lora.STUDENT, SETTINGS, 1)
    assert torch.equal(torch.rand(3), expected)


def test_a_target_that_no_layer_has_is_an_error():
    strange = SimpleNamespace(**vars(SETTINGS) | {"lora_targets": ("nowhere",)})
    with pytest.raises(UserError, match=r"^params\.yaml: train\.lora_targets: .*nowhere") as raised:
        lora.add(transformer(), lora.STUDENT, strange, 1)
    assert "\n" not in str(raised.value)


def test_another_adapter_speaks_for_a_while_only():
    model, student = adapted()
    teacher = lora.add(model, lora.TEACHER, SETTINGS, 1)
    model.set_adapter(lora.STUDENT)
    shaken(student, 1)
    first = speak(model)
    shaken(teacher, 2)
    assert torch.equal(speak(model), first)
    with lora.active(model, lora.TEACHER):
        second = speak(model)
    assert torch.equal(speak(model), first) and not torch.allclose(second, first, atol=1e-3)
    with pytest.raises(KeyError), lora.active(model, lora.TEACHER):
        raise KeyError
    assert torch.equal(speak(model), first)
    assert lora.parameters(model, lora.TEACHER)[0] is teacher[0] and len(lora.parameters(model, lora.TEACHER)) == 12


def test_with_its_adapters_off_a_model_speaks_as_it_did_without():
    model, student = adapted()
    shaken(student)
    changed = speak(model)
    model.disable_adapters()
    plain = speak(transformer())
    assert torch.equal(speak(model), plain) and not torch.equal(changed, plain)
    model.enable_adapters()
    assert torch.equal(speak(model), changed)


def test_weights_go_out_and_come_back_by_name():
    model, student = adapted()
    shaken(student)
    kept = lora.weights(model, lora.STUDENT)
    assert len(kept) == 12 and all(v.is_contiguous() and not v.requires_grad for v in kept.values())
    assert not any("student" in key for key in kept)
    expected = speak(model)
    layers, settings = lora.exported(model)
    assert layers.keys() == kept.keys() and all(torch.equal(layers[k], kept[k]) for k in kept)
    assert (settings["r"], settings["lora_alpha"], settings["target_modules"]) == (3, 6.0, ["to_q", "w2"])
    kept = {k: v.clone() for k, v in kept.items()}
    shaken(student, 7)
    assert not torch.equal(speak(model), expected)
    lora.restore(model, lora.STUDENT, kept)
    assert torch.equal(speak(model), expected)


def test_weights_that_do_not_fit_an_adapter_are_an_error():
    model, _ = adapted()
    lora.add(model, lora.TEACHER, SETTINGS, 1)
    kept = lora.weights(model, lora.STUDENT)
    first, _, _, *others = kept
    with pytest.raises(ValueError, match=r"^adapter student: 3 layers are missing, e\.g\. \['[^']+', '[^']+'\]$"):
        lora.restore(model, lora.STUDENT, {k: kept[k] for k in others})
    with pytest.raises(ValueError, match=r"^adapter student: 0 layers are missing"):
        lora.restore(model, lora.STUDENT, kept | {"nowhere.lora_A.weight": kept[first]})


def saved(folder, seed):
    model, student = adapted()
    shaken(student, seed)
    layers, settings = lora.exported(model)
    ZImagePipeline.save_lora_weights(folder, transformer_lora_layers=layers, transformer_lora_adapter_metadata=settings)
    assert len(load_file(folder / lora.FILE)) == 12
    return speak(model)


@pytest.mark.parametrize("merge", [True, False])
def test_one_loaded_adapter_takes_the_place_of_another(tmp_path, merge):
    drawn = [saved(tmp_path / str(seed), seed) for seed in (0, 1)]
    model = transformer()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    for seed in (0, 1, 0):
        lora.load(model, tmp_path / str(seed), merge)
        assert torch.allclose(speak(model), drawn[seed], atol=1e-4)
        assert not any(p.requires_grad for p in model.parameters())
    key = "layers.0.attention.to_q.weight"
    untouched = torch.equal(model.state_dict()[key.replace("to_q", "to_q.base_layer")], before[key])
    assert untouched != merge and list(model.peft_config) == [lora.STUDENT]


def test_adapters_are_merged_unless_it_is_said_otherwise(tmp_path):
    saved(tmp_path, 0)
    model = transformer()
    lora.load(model, tmp_path)
    assert all(m.merged for m in model.modules() if isinstance(m, BaseTunerLayer))


def test_an_adapter_that_is_missing_or_broken_is_one_clear_error(tmp_path):
    with pytest.raises(
        UserError,
        match=r"weights\.safetensors: the adapter is missing; name the folder of a finished training, or run `dvc repro`",
    ):
        lora.load(transformer(), tmp_path)
    saved(tmp_path, 0)
    model = transformer()
    model.layers[0].attention.to_q = torch.nn.Linear(32, 48)
    said = r"does not fit this model: 1 of 6 layers \(layers\.0\.attention\.to_q: .* where the layer is \(48, 32\)\); choose "
    with pytest.raises(UserError, match=rf"weights\.safetensors: {said}") as raised:
        lora.load(model, tmp_path)
    assert "\n" not in str(raised.value)


def rewritten(folder, change) -> None:
    """The LoRA of a folder with its tensors changed, under the same metadata."""
    with safe_open(folder / lora.FILE, "pt") as f:
        metadata = f.metadata()
    tensors = load_file(folder / lora.FILE)
    save_file(change(tensors), folder / lora.FILE, metadata)


A = "transformer.layers.0.attention.to_q.lora_A.weight"
B = A.replace("lora_A", "lora_B")
HALF = "transformer.layers.0.feed_forward.w2."
CHANGES = {
    "no tensors": (lambda t: {}, "no tensors"),
    "of another model": (
        lambda t: {k.replace("to_q", "to_x"): v for k, v in t.items()},
        r"6 of 9 layers \(context_refiner\.0\.attention\.to_x: this model has no such layer\); choose the model that it was",
    ),
    "of another program": (
        lambda t: {"lora_unet_x.alpha": torch.ones(1)},
        "lora_unet_x.alpha is no name of a LoRA on a",
    ),
    "of another kind": (
        lambda t: t | {A.replace("lora_A.weight", "alpha"): torch.ones(1)},
        r"to_q\.alpha is no name of a LoRA on a",
    ),
    "of what is no layer": (
        lambda t: {k.replace("attention.to_q", "attention_norm1"): v for k, v in t.items()},
        r"\(context_refiner\.0\.attention_norm1: this model has no such layer\)",
    ),
    "the other half": (
        lambda t: {k: v for k, v in t.items() if k != A},
        r"\(layers\.0\.attention\.to_q: lora_A is missing\)",
    ),
    "half": (lambda t: {k: v for k, v in t.items() if k != B}, r"\(layers\.0\.attention\.to_q: lora_B is missing\)"),
    "some missing": (
        lambda t: {k: v for k, v in t.items() if not k.startswith(HALF)},
        r"1 of 6 layers \(layers\.0\.feed_forward\.w2: missing, though the file says that it is tuned\)",
    ),
    "another rank": (
        lambda t: t | {A: torch.ones(2, 32), B: torch.ones(32, 2)},
        r"1 of 6 layers \(layers\.0\.attention\.to_q: rank 2, where the file says 3\)",
    ),
    "another shape": (lambda t: t | {B: torch.ones(33, 3)}, r"\(33, 3\) x \(3, 32\), where the layer is \(32, 32\)"),
    "not finite": (
        lambda t: t | {B: torch.full((32, 3), float("nan"))},
        rf"1 of 12 tensors are not finite \(the first: {B}\); train it again",
    ),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_tensors_that_cannot_all_be_applied_are_an_error_and_which(tmp_path, kind):
    saved(tmp_path, 0)
    change, said = CHANGES[kind]
    rewritten(tmp_path, change)
    model = transformer()
    before = speak(model)
    with pytest.raises(UserError, match=said) as raised:
        lora.load(model, tmp_path)
    assert str(raised.value).startswith(f"{tmp_path / lora.FILE}: ") and "\n" not in str(raised.value)
    assert torch.equal(speak(model), before)


def test_a_file_without_settings_is_loaded_by_its_shapes_and_broken_ones_are_named(tmp_path):
    drawn = saved(tmp_path, 0)
    tensors = load_file(tmp_path / lora.FILE)
    save_file({k: v * 2 if ".lora_B." in k else v for k, v in tensors.items()}, tmp_path / lora.FILE)
    assert lora.read(tmp_path)[1] == {}
    model = transformer()
    assert lora.load(model, tmp_path) == 12
    assert torch.allclose(speak(model), drawn, atol=1e-4)  # alpha is the rank where none is said: half of what it was
    save_file(tensors, tmp_path / lora.FILE, {"lora_adapter_metadata": "["})
    with pytest.raises(UserError, match=rf"^{tmp_path / lora.FILE}: its metadata: "):
        lora.read(tmp_path)


LOSES = {
    "a missing one and a changed one": (lambda t, a, b: {k: v + (k == b) for k, v in t.items() if k != a}, 10),
    "a changed one": (lambda t, a, b: t | {b: t[b] + 1}, 11),
    "one that was not given": (lambda t, a, b: t | {"more": t[b]}, 12),
}


@pytest.mark.parametrize("kind", LOSES)
def test_tensors_that_were_not_put_there_as_they_are_are_counted(tmp_path, monkeypatch, kind):
    saved(tmp_path, 0)
    (loses, good), there = LOSES[kind], lora.weights
    a, b, *_ = lora.read(tmp_path)[0]
    monkeypatch.setattr(lora, "weights", lambda model, name: loses(there(model, name), a, b))
    with pytest.raises(UserError) as raised:
        lora.load(transformer(), tmp_path)
    assert str(raised.value) == (
        f"{tmp_path / lora.FILE}: {good} of 12 tensors could be put on this model; train it again"
    )


def test_what_diffusers_does_not_take_is_said_in_a_line(tmp_path):
    saved(tmp_path, 0)
    model = transformer()

    def refuses(*_, **__):
        raise ValueError("first line\nsecond line")

    model.load_lora_adapter = refuses
    with pytest.raises(UserError) as raised:
        lora.load(model, tmp_path)
    assert str(raised.value) == f"{tmp_path / lora.FILE}: does not fit this model (first line); train it again"


@pytest.mark.parametrize("content", [b"", b"torn", b"\xff" * 64, b"\x08" + b"\0" * 7 + b"{}      "])
def test_what_is_no_file_of_tensors_is_one_clear_error(tmp_path, content):
    (tmp_path / lora.FILE).write_bytes(content)
    with pytest.raises(UserError, match=r"weights\.safetensors: (not a readable safetensors file|no tensors)"):
        lora.read(tmp_path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_loading_says_how_many_tensors_were_applied(tmp_path, dtype):
    saved(tmp_path, 0)
    assert lora.load(transformer(dtype), tmp_path, merge=False) == 12
    weights, settings = lora.read(tmp_path)
    assert len(weights) == 12 and (settings["r"], settings["lora_alpha"]) == (3, 6.0)
    assert not any(k.startswith("transformer.") for k in weights)


def test_of_flipped_bits_in_a_sealed_lora_none_is_unnoticed(tmp_path):
    saved(tmp_path, 0)
    sealed.seal(tmp_path, {"training": "x"})
    model, chance = transformer(), random.Random(0)
    lora.load(model, tmp_path)
    drawn = speak(model)
    for _ in range(200):
        file = tmp_path / chance.choice([lora.FILE, sealed.FILE])
        good = file.read_bytes()
        bit, torn = chance.randrange(8 * len(good)), bytearray(good)
        torn[bit // 8] ^= 1 << bit % 8
        file.write_bytes(torn)
        with pytest.raises(UserError, match=f"{file.name}: damaged"):
            lora.load(model, tmp_path)
        file.write_bytes(good)
    assert torch.equal(speak(model), drawn)
