"""What preparations draw, hand on and are trained with, on stand-ins whose answers are known."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import tiny
import torch
from small import picture

from dopsd.method.preparation import Preparation, Prepared
from dopsd.support import seeds
from dopsd.support.errors import UserError
from dopsd.support.opener import opened
from dopsd.training import lora, prepared

FEW = Preparation(pictures=3, rollout_steps=2)


@pytest.fixture
def short(train_settings):
    return train_settings.model_copy(update={"steps": 3, "checkpoints": (2,)})


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_lora_of_any_type_is_put_into_the_layers_that_it_names_in_float32(monkeypatch, tmp_path, dtype):
    torch.manual_seed(0)
    layers = torch.nn.ModuleDict({name: torch.nn.Linear(5, 6) for name in "qkv"})
    before = {name: layer.weight.detach().clone() for name, layer in layers.items()}
    weights = {f"{name}.lora_{half}.weight": torch.randn(2, 5) for name in "qk" for half in "A"}
    weights |= {f"{name}.lora_B.weight": torch.randn(6, 2) for name in "qk"}
    weights = {key: value.to(dtype) for key, value in weights.items()}
    monkeypatch.setattr(lora, "read", {tmp_path: (weights, {"r": 2, "lora_alpha": 6})}.__getitem__)
    prepared.merge_in(layers, tmp_path)
    for name in "qk":
        a, b = (weights[f"{name}.lora_{half}.weight"].float() for half in "AB")
        assert torch.allclose(layers[name].weight, before[name] + 3 * b @ a, atol=1e-5)
    assert torch.equal(layers["v"].weight, before["v"])
    prepared.merge_in(layers.to("meta"), tmp_path)  # on whatever device the layers are


class Draws:
    """A backbone whose velocity is what the context says, and which notes how many states it is asked about."""

    device, tokenizer = torch.device("cpu"), SimpleNamespace(unk_token_id=None)

    def __init__(self, settings=None):
        self.settings, self.transformer, self.asked = settings, f"of {settings}", []

    def latent_shape(self, height, width):
        return 2, height // 8, width // 8

    def step_grid(self, steps, size):
        assert tuple(size) == (2, 3)
        return torch.linspace(0, 1, steps + 1)

    def velocity(self, x, t, context):
        self.asked.append((len(x), round(t[0].item(), 2)))
        return torch.stack([torch.full_like(one, said) for one, said in zip(x, context, strict=True)])

    def context(self, texts):
        return [float(len(text)) for text in texts]

    def decode(self, latents):
        self.asked.append(len(latents))
        return torch.zeros(len(latents), 3, 16, 24) + latents.mean((1, 2, 3))[:, None, None, None]


def test_pictures_are_drawn_in_parts_each_from_its_own_context_and_noise(monkeypatch):
    monkeypatch.setattr(prepared, "PIXELS", 2 * 16 * 24)
    model = Draws()
    out = prepared.drawn(model, [1.0, 2.0, 3.0], (16, 24), 2, "name")
    noise = torch.randn((3, 2, 2, 3), generator=seeds.stream("prepared", "name"))
    assert torch.allclose(out, noise + torch.tensor([1.0, 2.0, 3.0])[:, None, None, None], atol=1e-6)
    assert model.asked == [(2, 0.0), (2, 0.5), (1, 0.0), (1, 0.5)] and not out.requires_grad
    model.device = torch.device("meta")
    model.velocity = lambda x, t, context: x
    assert prepared.drawn(model, [1.0], (16, 24), 2, "name").device.type == "meta"


def test_a_set_of_its_own_is_written_in_parts_under_its_texts(monkeypatch, tmp_path):
    monkeypatch.setattr(prepared, "PIXELS", 2 * 16 * 24)
    seen, model, folder = [], Draws(), tmp_path / "deep" / "pictures"
    shades = torch.tensor([-1.0, 0.0, 1.0])[:, None, None, None].expand(3, 2, 2, 3)
    monkeypatch.setattr(prepared, "drawn", lambda *given: seen.append(given) or shades)
    for _ in range(2):  # a second time, over what is there
        made = prepared.self_made(model, ["a", "two"], FEW, (16, 24), folder)
    assert seen == [(model, [1.0, 3.0, 1.0], (16, 24), 2, "self-made")] * 2 and model.asked == [2, 1] * 2
    assert [i.file for i in made] == [folder / f"000{k}.png" for k in range(3)]
    assert [(i.size, i.captions, i.class_name) for i in made] == [
        ((16, 24), {"said": text}, "picture") for text in ("a", "two", "a")
    ]
    assert [opened(i.file).getpixel((0, 0))[0] for i in made] == pytest.approx([0, 127, 255], abs=1)


def test_pictures_of_the_class_are_asked_for_by_its_name_and_the_seed(monkeypatch, tmp_path):
    seen, model, items = (
        [],
        Draws("settings"),
        [replace(picture(tmp_path), captions={"a": "a  [V]", "b": "[V] on sand", "c": "a [V]"})],
    )
    monkeypatch.setattr(prepared, "drawn", lambda *given: seen.append(given) or "pictures")
    given = prepared.prepare(model, items, FEW, seed=7)
    assert seen == [(model, [7.0] * 3, (16, 16), 2, "a corgi/7")]
    assert given == Prepared("pictures", 7.0, [], None)
    assert prepared.prepare(model, items, replace(FEW, adapter="repair"), 7) == Prepared()
    prompts = prepared.prepare(model, items, Preparation(prompts=True), 7)
    assert prompts == Prepared(prompts=model.context(["a corgi", "corgi on sand"]))
    other = prepared.prepare(model, items, Preparation(untouched=True), 7).untouched.__self__
    assert type(other) is Draws and other is not model and other.settings == "settings" and len(seen) == 1


@pytest.fixture
def noted(monkeypatch):
    """What is made and trained, noted in the place of models."""
    out = []

    def train(model, items, method, settings, **how):
        given = getattr(method, "given", None)
        out.append(("train", model, items, method.kind, method.settings.model_dump(), given, settings, how))
        return how["work"] / "done"

    def noting(name, answer):
        return lambda *given: out.append((name, *given)) or answer

    monkeypatch.setattr(prepared, "train", train)
    for name, answer in (("self_made", ["made"]), ("merge_in", None), ("repaired", "mended")):
        monkeypatch.setattr(prepared, name, noting(name, answer))
    monkeypatch.setattr(prepared, "prepare", noting("prepare", Prepared(untouched=len)))
    return out


@pytest.mark.parametrize("kind", ["undistilled", "repair"])
def test_an_adapter_is_made_of_what_the_model_drew_and_a_repair_on_top_of_it(noted, short, tmp_path, kind):
    model = Draws("settings")
    asked = Preparation(pictures=4, rollout_steps=3, adapter=kind, steps=5, rate=0.5)
    done = prepared.make_adapter(model, asked, short, ["a text"], (16, 24), tmp_path)
    how = short.model_copy(update={"steps": 5, "checkpoints": ()})

    def trained(one, name, settings, given):
        said = {"seed": 0, "learning_rate": 0.5, "work": tmp_path / name, "name": f"{name} adapter"}
        return ("train", one, ["made"], name, settings, given, how, said)

    first = [
        ("self_made", model, ["a text"], asked, (16, 24), tmp_path / "pictures"),
        trained(model, "sft", {"states": 1}, None),
    ]
    forgets = tmp_path / "sft" / "done" / "step-0005"
    if kind == "undistilled":
        assert noted == first and done == forgets
        return
    student = noted[-1][1]
    assert type(student) is Draws and student is not model and student.settings == "settings"
    assert noted == first + [
        ("merge_in", student.transformer, forgets),
        ("prepare", student, ["made"], Preparation(untouched=True), 0),
        trained(student, "imitation", {"rollout_steps": 3}, Prepared(untouched=len)),
    ]
    assert done == tmp_path / "imitation" / "done" / "step-0005"


@pytest.mark.parametrize("name", ["pso", "distill_adapter", "repair_lora"])
def test_a_method_is_trained_with_what_it_asked_for(noted, short, tmp_path, name):
    model, method, how = Draws("settings"), tiny.method(name), {"seed": 7, "learning_rate": 0.5}
    how |= {"work": tmp_path, "name": "a test"}
    done = prepared.train_prepared(model, ["items"], method, short, adapter=tmp_path / "adapter", **how)
    expected = [("prepare", model, ["items"], prepared.of(method), 7)]
    expected += [("merge_in", model.transformer, tmp_path / "adapter")] * (name == "distill_adapter")
    settings = method.settings.model_dump()
    expected += [("train", model, ["items"], name, settings, Prepared(untouched=len), short, how)]
    if name == "repair_lora":
        expected += [("repaired", model, tmp_path / "done", short.kept, tmp_path / "adapter", {"repairs": "done"})]
    assert noted == expected and done == ("mended" if name == "repair_lora" else tmp_path / "done")
    noted.clear()
    with pytest.raises(UserError, match="prepares something"):
        prepared.train_prepared(model, [], method, short.model_copy(update={"tune": "full"}), **how)
    assert not noted
