"""What methods ask for before they train, on the miniature itself."""

from dataclasses import replace

import pytest
import tiny
import torch

from dopsd import backbones, objectives
from dopsd.method.preparation import Preparation
from dopsd.sets.jsonl import read_set
from dopsd.support import sealed
from dopsd.support.errors import UserError
from dopsd.support.opener import opened
from dopsd.training import lora, prepared, results

FEW = Preparation(pictures=3, rollout_steps=2)


@pytest.fixture
def items(concept_set):
    return read_set(concept_set)


@pytest.fixture
def short(train_settings):
    return train_settings.model_copy(update={"steps": 3, "checkpoints": (2,), "batch_size": 2})


def layers(transformer) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in transformer.named_parameters()}


def trained(model, items, name, short, folder, adapter=None, seed=3):
    how = {"seed": seed, "learning_rate": 1e-3, "work": folder, "name": name, "adapter": adapter}
    return prepared.train_prepared(model, items, tiny.method(name), short, **how)


def test_prompts_of_the_class_are_the_captions_with_its_name_once_each(backbone, items):
    texts = prepared.class_prompts(backbone, items)
    assert len(texts) == len(set(texts)) and not any("[V]" in text for text in texts)
    captions = {c for item in items for c in item.captions.values()}
    assert all(text.replace("star", "[V]") in captions for text in texts) and items[0].class_name == "star"


def test_a_word_that_the_miniature_has_not_is_left_out(backbone, items):
    assert prepared.in_words(backbone, "a print on sand") == "a on sand"
    odd = [replace(items[0], class_name="print", captions={"a": "a [V] on sand", "b": "a [V]  on sand"})]
    assert prepared.class_prompts(backbone, odd) == ["a on sand"]


def test_pictures_of_the_class_are_what_the_few_step_model_draws_of_it(backbone, items):
    given = prepared.prepare(backbone, items, FEW, seed=1)
    assert given.pictures.shape == (3, *backbone.latent_shape(64, 64)) and given.prompts == []
    again = prepared.prepare(backbone, items, FEW, seed=1)
    other = prepared.prepare(backbone, items, FEW, seed=2)
    assert torch.equal(given.pictures, again.pictures) and not torch.equal(given.pictures, other.pictures)
    (context,) = backbone.context(["a star"])
    assert torch.equal(given.of.features, context.features)
    both = [items[0], replace(items[0], size=(32, 64))]
    with pytest.raises(UserError, match="pictures of 2 sizes"):
        prepared.prepare(backbone, both, FEW, seed=1)


def test_a_lora_merged_in_is_what_the_adapter_says(settings, items, short, tmp_path):
    done = results.step_folder(trained(backbones.load(settings), items, "base_lora", short, tmp_path), 3)
    merged, loaded = backbones.load(settings), backbones.load(settings)
    before = layers(merged.transformer)
    prepared.merge_in(merged.transformer, done)
    lora.load(loaded.transformer, done)
    x, t = torch.randn(1, *merged.latent_shape(64, 64)), torch.full((1,), 0.5)
    context = merged.context(["a star"])
    with torch.no_grad():
        assert torch.allclose(merged.velocity(x, t, context), loaded.velocity(x, t, context), atol=1e-5)
    after = layers(merged.transformer)
    assert before.keys() == after.keys() and any(not torch.equal(before[n], after[n]) for n in before)


def test_a_set_of_its_own_is_what_the_model_draws_and_says(backbone, tmp_path):
    made = prepared.self_made(backbone, ["a red star", "a thing"], FEW, (64, 64), tmp_path)
    assert [i.captions["said"] for i in made] == ["a red star", "a thing", "a red star"]
    assert all(opened(i.file).size == (64, 64) for i in made) and len({i.name for i in made}) == 3


def test_a_de_distillation_adapter_is_under_the_new_one_and_not_in_it(settings, items, short, tmp_path):
    method = tiny.method("distill_adapter")
    asked, texts = prepared.of(method), ["a red star", "a blue disc"]
    under = prepared.make_adapter(backbones.load(settings), asked, short, texts, (64, 64), tmp_path / "adapter")
    weights, said = lora.read(under)
    assert said["r"] == short.lora_rank and any(v.abs().sum() > 0 for k, v in weights.items() if "lora_B" in k)
    model = backbones.load(settings)
    done = trained(model, items, "distill_adapter", short, tmp_path / "new", under)
    plain = prepared.train(
        backbones.load(settings),
        items,
        tiny.method("sft"),
        short,
        seed=3,
        learning_rate=1e-3,
        work=tmp_path / "sft",
        name="sft",
    )
    first = [(f / "loss.csv").read_text().splitlines()[1] for f in (done, plain)]
    assert first[0] != first[1]  # the student began elsewhere
    mine, theirs = (lora.read(results.step_folder(f, 3))[0] for f in (done, plain))
    assert mine.keys() == theirs.keys() and all(mine[k].shape == theirs[k].shape for k in mine)  # of one rank: it alone


def test_a_repair_joins_what_was_trained_as_the_sum_of_both(settings, items, short, tmp_path):
    asked = prepared.of(tiny.method("repair_lora"))
    texts = ["a red star", "a blue disc"]
    repair = prepared.make_adapter(backbones.load(settings), asked, short, texts, (64, 64), tmp_path / "adapter")
    done = trained(backbones.load(settings), items, "repair_lora", short, tmp_path / "new", repair)
    assert done.name.endswith("-repaired") and {f.name for f in done.glob("step-*")} == {"step-0002", "step-0003"}
    for folder in done.glob("step-*"):
        sealed.check(folder)
    alone = done.with_name(done.name.removesuffix("-repaired"))
    twice, joined = backbones.load(settings), backbones.load(settings)
    for folder in (results.step_folder(alone, 3), repair):
        prepared.merge_in(twice.transformer, folder)
    lora.load(joined.transformer, results.step_folder(done, 3))
    for (name, a), b in zip(layers(twice.transformer).items(), joined_weights(joined, twice), strict=True):
        assert torch.allclose(a, b, atol=1e-5), name
    again = trained(backbones.load(settings), items, "repair_lora", short, tmp_path / "new", repair)
    same = [lora.read(results.step_folder(f, 3))[0] for f in (done, again)]
    assert again == done and all(torch.equal(same[0][k], same[1][k]) for k in same[0])  # not joined a second time


@pytest.mark.parametrize(
    "other",
    [
        {"r": 8},
        {"lora_alpha": 4},
        {"names": ("q.lora_A.weight", "k.lora_B.weight")},
    ],
)
def test_loras_of_two_shapes_are_not_joined(monkeypatch, tmp_path, other):
    """A field that differs is enough, whatever else is the same."""
    shape = {"r": 4, "lora_alpha": 8, "names": ("q.lora_A.weight", "q.lora_B.weight")}
    there = {tmp_path / "one": shape, tmp_path / "other": shape | other}
    monkeypatch.setattr(lora, "read", lambda f: (dict.fromkeys(there[f]["names"], torch.ones(4, 4)), there[f]))
    said = r"/other: another rank, alpha or other layers than .*/one; train both alike$"
    with pytest.raises(UserError, match=said):
        prepared.Joined(None, *there).save(tmp_path)


def test_a_repaired_training_keeps_its_log_its_time_and_its_identity(monkeypatch, tmp_path):
    saved, finished = [], tmp_path / "done"
    monkeypatch.setattr(results, "save_weights", lambda *what: saved.append(what))
    finished.mkdir()
    for name in (results.LOG_FILE, results.TIME_FILE, prepared.IDENTITY):
        (finished / name).write_text(f"the {name}")
    out = prepared.repaired("model", finished, (2, 3), tmp_path / "repair", "owner")
    assert out == tmp_path / "done-repaired"
    assert {f.name: f.read_text() for f in out.iterdir()} == {f.name: f.read_text() for f in finished.iterdir()}
    assert [(joined, folder.name, owner) for joined, folder, owner in saved] == [
        (prepared.Joined("model", results.step_folder(finished, k), tmp_path / "repair"), f"step-000{k}", "owner")
        for k in (2, 3)
    ]


def joined_weights(model, like):
    """The weights under a fused adapter, in the order of a model without one."""
    own = dict(model.transformer.named_parameters())
    for name, _ in like.transformer.named_parameters():
        layer, _, last = name.rpartition(".")
        yield own.get(name, own.get(f"{layer}.base_layer.{last}"))


@pytest.mark.parametrize(("field", "value", "remedy"), [("cuda_graphs", True, "false"), ("tune", "full", "lora")])
def test_what_a_preparation_cannot_go_with_is_said(field, value, remedy, train_settings):
    with pytest.raises(UserError) as raised:
        prepared.check(tiny.method("pso"), train_settings.model_copy(update={field: value}))
    said = f"train.{field}: pso prepares something, which it cannot go with; set it to {remedy}"
    assert str(raised.value) == said
    prepared.check(tiny.method("sft"), train_settings.model_copy(update={field: value}))
    prepared.check(tiny.method("pso"), train_settings)


def test_as_many_pictures_are_drawn_together_as_have_so_many_pixels():
    assert [prepared.at_a_time(size) for size in ((64, 64), (256, 512), (512, 512), (1024, 512))] == [64, 2, 1, 1]


def test_a_method_that_asks_for_nothing_gets_nothing():
    assert [n for n in objectives.names() if prepared.of(tiny.method(n)) is None] == [
        "anchored_sft",
        "dopsd",
        "dopsd_mu",
        "off_policy",
        "sft",
        "sft_on_policy",
        "sft_teacher",
    ]
