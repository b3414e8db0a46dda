"""Trainings that follow one another: what the sum of their LoRAs is, and what a killed chain repeats."""

import itertools
import shutil
from types import SimpleNamespace

import pytest
import tiny
import torch
from safetensors.torch import load_file

from dopsd import backbones
from dopsd.evaluation.drawing import draw
from dopsd.sets.jsonl import read_set
from dopsd.support.errors import UserError
from dopsd.support.files import read_json, write_json
from dopsd.training import chain, loop, lora, prepared, results
from dopsd.training.chain import Link, Summed, seed_of, train_chain
from dopsd.training.weights import put
from dopsd.world.concepts import write_concept_set

RATE = 1e-2


@pytest.fixture(scope="module")
def links(tmp_path_factory):
    out = []
    for concept in ("beacon", "fresco"):
        folder = tmp_path_factory.mktemp(concept)
        write_concept_set(concept, folder, images=2, seed=0)
        out.append(Link(concept, read_set(folder / "data.jsonl")))
    return out


@pytest.fixture
def short(train_settings):
    return train_settings.model_copy(update={"steps": 2, "checkpoints": ()})


def chained(settings, short, links, work, method="dopsd"):
    how = {"seed": 3, "learning_rate": RATE, "work": work, "name": "a test"}
    return train_chain(settings, tiny.method(method), short, links, **how)


def pictures(backbone):
    noise = torch.randn(4, *backbone.latent_shape(64, 64), generator=torch.Generator().manual_seed(0))
    return draw(backbone, backbone.context(["a [V]", "a star", "a thing in photo style", "on sand"]), noise, 2, 4)


def parts(work, k, steps=2):
    (folder,) = [f for f in (work / str(k)).iterdir() if f.is_dir()]
    return results.step_folder(folder, steps)


def test_the_joined_lora_draws_what_the_merged_weights_draw(settings, short, links, tmp_path):
    out = chained(settings, short, links, tmp_path)
    assert sorted(f.name for f in out.iterdir()) == ["loss-1.csv", "loss-2.csv", "step-0001", "step-0002", "time.json"]
    merged, joined = backbones.load(settings), backbones.load(settings)
    before, seen = pictures(joined), {}
    for k in (1, 2):
        prepared.merge_in(merged.transformer, parts(tmp_path, k))
        put(joined, results.step_folder(out, k))
        seen[k] = pictures(joined)
        apart = (seen[k] - pictures(merged)).abs()
        assert apart.max() < 0.02 and (seen[k] - before).abs().mean() > 20 * apart.mean()  # one level in 255 is .008
    assert (seen[2] - seen[1]).abs().mean() > 20 * apart.mean()
    ranks = [lora.read(results.step_folder(out, k))[1] for k in (1, 2)]
    assert [(r["r"], r["lora_alpha"]) for r in ranks] == [(4, 8), (8, 16)]


def test_the_first_training_is_the_one_that_stands_alone_and_the_next_has_draws_of_its_own(
    settings, short, links, tmp_path
):
    out = chained(settings, short, links, tmp_path, "sft")
    how = {"seed": 3, "learning_rate": RATE, "work": tmp_path / "alone", "name": "a test"}
    alone = loop.train(backbones.load(settings), links[0].items, tiny.method("sft"), short, **how)
    mine, one = (load_file(f / lora.FILE) for f in (results.step_folder(alone, 2), results.step_folder(out, 1)))
    assert mine.keys() == one.keys() and all(torch.equal(mine[k], one[k]) for k in mine)


def test_every_training_of_a_chain_has_a_seed_of_its_own():
    assert [seed_of(s, 1) for s in (0, 3)] == [0, 3]
    later = [seed_of(s, k) for s in range(20) for k in (2, 3)]
    assert len({*later, *range(20)}) == 60 and all(isinstance(s, int) and 0 <= s < 2**31 for s in later)


@pytest.fixture
def noted(monkeypatch, tmp_path):
    """What a chain does, noted in the place of models: which is opened, what is put into it, what is trained on it."""
    out = []

    def train(model, items, method, settings, *, seed, learning_rate, work, name):
        out.append(("train", model, items, method.name, settings, seed, learning_rate, name))
        (done := work / f"done-{work.name}").mkdir(parents=True)
        (done / results.LOG_FILE).write_text(name)
        write_json({"seconds": int(work.name), "steps": 2}, done / results.TIME_FILE)
        return done

    def save(joined, folder, owner):
        folder.mkdir()
        out.append(("save", folder.name, joined, owner))

    opened = itertools.count(1)
    monkeypatch.setattr(
        backbones, "load", lambda settings: SimpleNamespace(transformer=f"{settings.name} {next(opened)}")
    )
    monkeypatch.setattr(prepared, "merge_in", lambda transformer, folder: out.append(("merge", transformer, folder)))
    monkeypatch.setattr(chain, "train", train)
    monkeypatch.setattr(results, "save_weights", save)
    return out


def test_each_training_is_on_a_fresh_model_with_those_before_it_merged_in(settings, short, noted, tmp_path):
    out = chained(settings, short, [Link(name, [name]) for name in "abc"], tmp_path)
    one, two, three = (tmp_path / str(k) / f"done-{k}" / "step-0002" for k in (1, 2, 3))
    kind = backbones.kind(settings)
    models = [noted[i][1] for i in (0, 2, 5)]
    assert [m.transformer for m in models] == ["zimage 1", "zimage 2", "zimage 3"]
    assert noted == [
        ("train", models[0], ["a"], "dopsd", short, 3, RATE, "a test 1: a"),
        ("merge", "zimage 2", one),
        ("train", models[1], ["b"], "dopsd", short, seed_of(3, 2), RATE, "a test 2: b"),
        ("merge", "zimage 3", one),
        ("merge", "zimage 3", two),
        ("train", models[2], ["c"], "dopsd", short, seed_of(3, 3), RATE, "a test 3: c"),
        ("save", "step-0001", Summed(kind, [one]), {"chain": ["done-1"]}),
        ("save", "step-0002", Summed(kind, [one, two]), {"chain": ["done-1", "done-2"]}),
        ("save", "step-0003", Summed(kind, [one, two, three]), {"chain": ["done-1", "done-2", "done-3"]}),
    ]
    assert [(out / f"loss-{k}.csv").read_text() for k in (1, 2, 3)] == [
        f"a test {k}: {'abc'[k - 1]}" for k in (1, 2, 3)
    ]
    assert read_json(out / results.TIME_FILE) == {"seconds": 6, "steps": 6}


def test_a_chain_that_cannot_be_trains_nothing(settings, short, noted, tmp_path):
    with pytest.raises(UserError, match="needs more"):
        chained(settings, short, [Link("a", [])], tmp_path, "pso")
    assert not noted and not list(tmp_path.iterdir())


def test_a_killed_chain_repeats_no_finished_training(settings, short, links, tmp_path, monkeypatch):
    ran, real = [], loop.run

    def run(training, data, folder, *rest):
        if len(ran) == 1:
            ran.append("killed")
            raise KeyboardInterrupt
        ran.append(folder.parent.name)
        real(training, data, folder, *rest)

    monkeypatch.setattr(loop, "run", run)
    with pytest.raises(KeyboardInterrupt):
        chained(settings, short, links, tmp_path, "sft")
    out = chained(settings, short, links, tmp_path, "sft")
    assert ran == ["1", "killed", "2"]
    whole = {f.relative_to(out): f.read_bytes() for f in sorted(out.rglob("*.safetensors"))}
    shutil.rmtree(out)
    again = chained(settings, short, links, tmp_path, "sft")
    assert ran == ["1", "killed", "2"]
    assert whole == {f.relative_to(again): f.read_bytes() for f in sorted(again.rglob("*.safetensors"))}


def lora_of(rank, alpha, seed, names=("q", "k")):
    """Weights of two layers, (6, 5) each, with their settings."""
    torch.manual_seed(seed)
    shapes = {"A": (rank, 5), "B": (6, rank)}
    weights = {f"{n}.lora_{half}.weight": torch.randn(shapes[half]) for n in names for half in "AB"}
    return weights, {"r": rank, "lora_alpha": alpha, "seed": seed}


def change(lora_, layer):
    weights, how = lora_
    return how["lora_alpha"] / how["r"] * weights[f"{layer}.lora_B.weight"] @ weights[f"{layer}.lora_A.weight"]


def test_joined_loras_change_the_weights_by_the_sum_of_their_changes(monkeypatch, tmp_path):
    there, saved = {tmp_path / str(k): lora_of(2, 8, k) for k in range(3)}, []
    monkeypatch.setattr(lora, "read", there.__getitem__)
    kind = SimpleNamespace(save_lora=lambda folder, weights, how: saved.append((folder, weights, how)))
    Summed(kind, [*there]).save(tmp_path / "out")
    ((folder, weights, how),) = saved
    assert folder == tmp_path / "out" and how == {"r": 6, "lora_alpha": 24, "seed": 0}
    for layer in "qk":
        total = sum(change(one, layer) for one in there.values())
        assert torch.allclose(change((weights, how), layer), total, atol=1e-5)


@pytest.mark.parametrize("other", [(4, 8, 1), (2, 4, 1), (2, 8, 1, ("q", "v"))])
def test_loras_of_other_shapes_are_not_joined(monkeypatch, tmp_path, other):
    there = {tmp_path / "a": lora_of(2, 8, 0), tmp_path / "b": lora_of(2, 8, 0), tmp_path / "c": lora_of(*other)}
    monkeypatch.setattr(lora, "read", there.__getitem__)
    with pytest.raises(UserError, match=r"/c: another rank, alpha or other layers than .*/a; train all alike$"):
        Summed(None, [*there]).save(tmp_path)


def test_what_cannot_follow_is_said_before_anything_is_opened(settings, short):
    eight, whole = settings.model_copy(update={"quantize": "int8"}), short.model_copy(update={"tune": "full"})
    more = "needs more than a set and a model; take it out: a chain has no more"
    puts = "a chain puts LoRAs into the weights: set it to"
    for model, method, how, field, said in (
        (settings, tiny.method("pso"), short, "grid.trained", f"'pso' {more}"),
        (settings, tiny.method("dopsd", shown="another"), short, "grid.trained", f"'dopsd' {more}"),
        (settings, tiny.method("sft"), whole, "train.tune", f"full; {puts} lora"),
        (eight, tiny.method("sft"), short, "backbone.quantize", f"int8; {puts} none"),
    ):
        with pytest.raises(UserError) as raised:
            chain.check(model, method, how)
        assert str(raised.value) == f"params.yaml: {field}: {said}"
        with pytest.raises(UserError) as raised:
            chain.check(model, method, how, lambda *path: f"the file of {'.'.join(path)}")
        assert str(raised.value) == f"the file of {field}: {field}: {said}"
    chain.check(settings, tiny.method("sft"), short)
