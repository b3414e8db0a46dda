"""Trainings that follow one another: what the sum of their LoRAs is, and what a killed chain repeats."""

import shutil

import pytest
import tiny
import torch
from safetensors.torch import load_file

from dopsd import backbones
from dopsd.evaluation.drawing import draw
from dopsd.sets.jsonl import read_set
from dopsd.support.errors import UserError
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
    assert seed_of(3, 1) == 3 and len({seed_of(s, k) for s in (0, 1, 3) for k in (1, 2, 3)}) == 9


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


def test_loras_of_other_shapes_are_not_joined(settings, short, links, tmp_path):
    folders = []
    for rank in (4, 2):
        how = {"seed": 0, "learning_rate": RATE, "work": tmp_path / str(rank), "name": "a test"}
        other = short.model_copy(update={"lora_rank": rank, "steps": 1})
        done = loop.train(backbones.load(settings), links[0].items, tiny.method("sft"), other, **how)
        folders.append(results.step_folder(done, 1))
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="another rank, alpha or other layers"):
        Summed(backbones.kind(settings), folders).save(tmp_path / "out")


def test_what_cannot_follow_is_said_before_anything_is_opened(settings, short):
    eight = settings.model_copy(update={"quantize": "int8"})
    for model, method, how, said in (
        (settings, "pso", short, "grid.trained: 'pso' needs more"),
        (settings, "sft", short.model_copy(update={"tune": "full"}), "train.tune: full"),
        (eight, "sft", short, "backbone.quantize: int8"),
    ):
        with pytest.raises(UserError, match=said):
            chain.check(model, tiny.method(method), how)
    with pytest.raises(UserError, match="needs more"):
        chain.check(settings, tiny.method("dopsd", shown="another"), short)
