import copy
import weakref

import pytest
import tiny
import torch
from safetensors.torch import load_file
from small import WRITTEN

from dopsd import backbones
from dopsd.sets.jsonl import read_set
from dopsd.support.files import replace
from dopsd.training import lora, weights
from dopsd.training.encoded import Encoded
from dopsd.training.loop import Training, draw_batch, train


def run(settings, manifest, method, options, work):
    how = {"seed": 3, "learning_rate": 1e-3, "work": work, "name": "test"}
    return train(backbones.load(settings), read_set(manifest), tiny.method(method), options, **how)


def adapter(folder, step):
    return load_file(folder / f"step-{step:04d}" / lora.FILE)


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("method", ["sft", "dopsd"])
def test_a_training_writes_its_checkpoints_and_learns(settings, concept_set, train_settings, tmp_path, method):
    done = run(settings, concept_set, method, train_settings, tmp_path / "work")
    assert not equal(adapter(done, 2), adapter(done, 4))
    rows = (done / "loss.csv").read_text().splitlines()
    assert rows[0] == "step,loss,lr,grad_norm" and len(rows) == 5
    assert sorted(f.name for f in done.iterdir()) == WRITTEN
    backbone = backbones.load(settings)
    x, t, context = torch.randn(1, 8, 16, 16), torch.full((1,), 0.25), backbone.context(["a [V]"])
    before = backbone.velocity(x, t, context)
    weights.put(backbone, done / "step-0002")
    weights.put(backbone, done / "step-0004")
    assert (backbone.velocity(x, t, context) - before).abs().mean() > 1e-4


def test_a_finished_training_is_not_repeated_until_it_is_published(
    settings, concept_set, train_settings, tmp_path, monkeypatch
):
    done = run(settings, concept_set, "sft", train_settings, tmp_path / "work")
    with monkeypatch.context() as patch:
        patch.setattr(Training, "advance", lambda *_: pytest.fail("trained again"))
        assert run(settings, concept_set, "sft", train_settings, tmp_path / "work") == done
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    first = adapter(done, 4)
    replace(done, tmp_path / "out")
    assert not done.exists() and not (tmp_path / "out" / "old").exists()
    assert equal(adapter(tmp_path / "out", 4), first)
    assert equal(adapter(run(settings, concept_set, "sft", train_settings, tmp_path / "work"), 4), first)


class Killed(Exception):
    pass


@pytest.mark.parametrize("method", ["sft", "dopsd"])
def test_a_killed_training_goes_on_bit_for_bit(settings, concept_set, train_settings, tmp_path, monkeypatch, method):
    often = train_settings.model_copy(update={"save_every": 1e-9})
    whole = run(settings, concept_set, method, often, tmp_path / "whole")
    advance = Training.advance

    def dies(self, parts):
        if self.step == 3:
            raise Killed
        return advance(self, parts)

    monkeypatch.setattr(Training, "advance", dies)
    with pytest.raises(Killed):
        run(settings, concept_set, method, often, tmp_path / "killed")
    monkeypatch.setattr(Training, "advance", advance)
    killed = run(settings, concept_set, method, often, tmp_path / "killed")
    assert all(equal(adapter(whole, step), adapter(killed, step)) for step in (2, 4))
    assert not list(tmp_path.rglob("*.pt"))


def test_four_parts_of_one_equal_a_batch_of_four(settings, concept_set, train_settings):
    grads = []
    for accumulation in (1, 4):
        options = train_settings.model_copy(update={"batch_size": 4, "accumulation": accumulation})
        backbone = backbones.load(settings)
        data = Encoded(backbone, read_set(concept_set), with_teacher=True)
        training = Training(backbone, tiny.method("dopsd"), options, 0, 1e-3)
        loss, norm = training.advance(draw_batch(data, backbone, options, 3, 0, 0))
        grads.append((loss, norm, [p.detach().clone() for p in training.parameters]))
    (loss_a, norm_a, a), (loss_b, norm_b, b) = grads
    assert loss_a == pytest.approx(loss_b, rel=1e-4) and norm_a == pytest.approx(norm_b, rel=1e-3)
    # Adam's first step is the gradient's sign times the step size: only gradients of nearly zero may differ
    assert sum((x - y).abs().gt(1e-4).sum() for x, y in zip(a, b, strict=True)) < 0.01 * sum(x.numel() for x in a)


def test_offloaded_full_fine_tuning_is_the_same_training(settings, concept_set, train_settings):
    """In float32 nothing rounds, so where the masters are changes nothing; under bf16 they stay float32."""
    ends = []
    for offload in (False, True):
        options = train_settings.model_copy(update={"tune": "full", "offload": offload, "batch_size": 1})
        backbone = backbones.load(settings)
        data = Encoded(backbone, read_set(concept_set), with_teacher=True)
        training = Training(backbone, tiny.method("dopsd"), options, 0, 1e-3)
        rows = [training.advance(training.batch(data)) for _ in range(2)]
        state = copy.deepcopy(training.state())
        rows += [training.advance(training.batch(data)) for _ in range(2)]
        again = Training(backbones.load(settings), tiny.method("dopsd"), options, 0, 1e-3)
        again.restore(state)
        assert [again.advance(again.batch(data)) for _ in range(2)] == rows[2:]
        ends.append((rows, training.parameters, training.teacher.parameters, training.weights.trained))
    (rows_a, a, teacher_a, _), (rows_b, b, teacher_b, spoken) = ends
    assert rows_a == rows_b
    assert all(torch.equal(x, y) for x, y in zip((*a, *teacher_a), (*b, *teacher_b), strict=True))
    assert all(torch.equal(x, y) and x is not y for x, y in zip(b, spoken, strict=True))

    half = backbones.load(settings.model_copy(update={"dtype": "bfloat16"}))
    training = Training(half, tiny.method("dopsd"), options, 0, 1e-3)
    training.advance(training.batch(data))
    assert {p.dtype for p in (*training.parameters, *training.teacher.parameters)} == {torch.float32}
    assert {p.dtype for p in half.transformer.parameters()} == {torch.bfloat16}
    for master, spoken in zip(training.parameters, half.transformer.parameters(), strict=True):
        assert torch.equal(master.to(torch.bfloat16), spoken)


def test_batches_are_the_same_for_every_method_and_differ_by_step_and_seed(settings, concept_set, train_settings):
    backbone = backbones.load(settings)
    data = Encoded(backbone, read_set(concept_set), with_teacher=False)
    first, again = (draw_batch(data, backbone, train_settings, 3, 0, 5)[0] for _ in range(2))
    assert torch.equal(first.noise, again.noise) and torch.equal(first.latents, again.latents)
    assert torch.equal(first.times, again.times) and first.teacher_context is None
    for other in (
        draw_batch(data, backbone, train_settings, 3, 0, 6)[0],
        draw_batch(data, backbone, train_settings, 3, 1, 5)[0],
    ):
        assert not torch.equal(first.noise, other.noise)


def test_encoders_are_freed_before_training(backbone, concept_set):
    Encoded(backbone, read_set(concept_set), with_teacher=True)
    assert backbone._text is None and backbone._vlm is None


def test_memory_is_freed_step_by_step(settings, concept_set, train_settings):
    """When a state's loss is asked for, the graph of the one before is gone."""
    alive = []

    class Saved:
        """A tensor that a graph keeps for its backward pass."""

        def __init__(self, tensor):
            self.tensor = tensor
            alive.append(weakref.ref(self))

    backbone = backbones.load(settings)
    data = Encoded(backbone, read_set(concept_set), with_teacher=True)
    training = Training(backbone, tiny.method("dopsd"), train_settings, 0, 1e-3)
    (part,) = draw_batch(data, backbone, train_settings, 3, 0, 0)
    before = 0
    with torch.autograd.graph.saved_tensors_hooks(Saved, lambda saved: saved.tensor):
        for loss in training.method.loss(backbone.velocity, training.teach, part):
            assert len(alive) > before and all(ref() is None for ref in alive[:before])
            loss.backward()
            before = len(alive)
