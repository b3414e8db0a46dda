"""The steps of the loop on a field of two weights, whose every step can be computed beside it."""

import copy
import random
from dataclasses import replace
from types import SimpleNamespace

import pytest
import small
import tiny
import torch
from small import RATE, Field, Visits, batch, numbers, training, visit

from dopsd.objectives import Batch
from dopsd.support.errors import UserError
from dopsd.support.seeds import number
from dopsd.training.loop import Training, draw_batch
from dopsd.training.teacher import Teacher
from dopsd.training.weights import begin


@pytest.fixture
def options(train_settings):
    return small.settings(train_settings)


@pytest.mark.parametrize("teacher", ["ema", "frozen"])
def test_every_step_of_a_training_moves_its_teacher_by_the_rule(options, teacher):
    one = training(options, teacher=teacher, ema=0.7)
    expected = numbers(one.parameters)
    for step in range(3):
        one.advance([batch(seed=step)])
        student = numbers(one.parameters)
        if teacher == "ema":
            expected = [0.7 * a + 0.3 * b for a, b in zip(expected, student, strict=True)]
        assert numbers(one.teacher.parameters) == pytest.approx(expected, abs=1e-6)
        assert numbers(one.weights._speaker.parameters()) == pytest.approx(expected, abs=1e-6)
        assert student != pytest.approx(expected, abs=1e-3)


def test_a_live_teacher_has_no_weights_of_its_own_and_no_graph(options):
    one = training(options, teacher="live")
    assert one.teacher.parameters == []
    b = batch()
    assert not one.teach(b.noise, b.times, b.teacher_context).requires_grad
    one.advance([b])
    asked = (b.noise, b.times, b.teacher_context)
    assert torch.equal(one.teach(*asked), one.backbone.velocity(*asked))


def test_the_teacher_is_asked_what_it_is_told(options):
    one, b = training(options), batch()
    asked = []
    one.backbone.velocity = lambda *given: asked.append((one.backbone.transformer, given)) or torch.zeros(())
    one.teach(b.noise, b.times, b.teacher_context)
    ((speaker, given),) = asked
    assert speaker is one.weights._speaker is not one.backbone.transformer
    assert all(a is c for a, c in zip(given, (b.noise, b.times, b.teacher_context), strict=True))


def test_sft_has_no_teacher(options):
    assert training(options, "sft").teacher is None


@pytest.mark.parametrize("offload", [False, True])
def test_steps_are_adamws_on_the_clipped_gradient(options, offload):
    """Beside it: AdamW by hand."""
    one = training(options.model_copy(update={"offload": offload}), "sft")
    w = torch.tensor([0.5, 1.0], dtype=torch.float64)
    m, v = torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for step in range(1, 4):
        b = batch(seed=step)
        t = b.times[:, None, None, None].double()
        x = (1 - t) * b.noise.double() + t * b.latents.double()
        told = torch.tensor([1.0, 2.0], dtype=torch.float64)[:, None, None, None].expand_as(x)
        error = w[0] * x + w[1] * told - (b.latents - b.noise).double()
        gradient = torch.stack([2 * (error * x).mean(), 2 * (error * told).mean()])
        loss, norm = one.advance([b])
        assert loss == pytest.approx(error.square().mean().item(), rel=1e-5)
        assert norm == pytest.approx(gradient.norm().item(), rel=1e-5) and norm > 0.5
        gradient = gradient * 0.5 / gradient.norm()
        m, v = 0.8 * m + 0.2 * gradient, 0.9 * v + 0.1 * gradient**2
        w = w * (1 - RATE * 0.1) - RATE * (m / (1 - 0.8**step)) / ((v / (1 - 0.9**step)).sqrt() + 1e-8)
        assert numbers(one.parameters) == pytest.approx(w.tolist(), rel=1e-5)
        assert numbers(one.backbone.transformer.parameters()) == numbers(one.parameters)
        assert one.step == step


def test_a_batch_in_parts_is_the_batch(options):
    whole, parts = batch(4), []
    for i in (0, 2):
        part = slice(i, i + 2)
        parts.append(
            Batch(
                whole.latents[part],
                whole.noise[part],
                whole.times[part],
                whole.student_context[part],
                whole.teacher_context[part],
                whole.grid,
            )
        )
    one = training(options.model_copy(update={"batch_size": 4}))
    two = training(options.model_copy(update={"batch_size": 4, "accumulation": 2}))
    assert two.advance(parts) == pytest.approx(one.advance([whole]), rel=1e-5)
    assert numbers(two.parameters) == pytest.approx(numbers(one.parameters), rel=1e-5)


def test_losses_are_added_in_double_precision(options):
    one, small = training(options, "sft"), 2.0**-40

    def losses(*_):
        for value in (1.0, small):
            yield one.parameters[0].sum() * 0 + value

    one.method = SimpleNamespace(loss=losses)
    assert one._passes(batch()).item() == 1.0 + small
    passed = iter((1.0, small))
    one.passes = lambda part: torch.tensor(next(passed), dtype=torch.float64)
    assert one.advance([batch(), batch()])[0] == 1.0 + small


def test_losses_are_added_where_the_backbone_is(options):
    one, added = training(options, "sft"), []
    one.backbone.device = torch.device("meta")
    one.method = SimpleNamespace(loss=lambda *_: ())
    assert one._passes(batch()).device.type == "meta"
    one._averaged = lambda total: added.append(total.device.type) or torch.zeros(())
    one.advance([])
    assert added == ["meta"]


def test_a_loss_that_is_not_a_number_ends_the_training(options):
    one = training(options, "sft")
    one.step = 7
    with torch.no_grad():
        one.parameters[0].fill_(float("nan"))
    with pytest.raises(UserError, match=r"^the loss is not a number at step 7; lower the learning rate$"):
        one.advance([batch()])


def test_a_batch_that_cannot_be_split_is_an_error(options):
    with pytest.raises(
        UserError, match=r"^train\.batch_size 2 cannot be split into train\.accumulation 3 x 1 processes$"
    ):
        training(options.model_copy(update={"accumulation": 3}))


def test_graphs_are_of_a_gpu_alone(options):
    said = r"^train\.cuda_graphs needs a CUDA GPU, not cpu; set it to false$"
    with pytest.raises(UserError, match=said):
        training(options.model_copy(update={"cuda_graphs": True}))


def test_weights_begin_from_the_trainings_seed(options, monkeypatch):
    begun = []
    monkeypatch.setattr("dopsd.training.loop.begin", lambda *given: begun.append(given) or begin(*given))
    field = Field()
    Training(field, tiny.method("sft"), options, 7, RATE)
    assert begun == [(field, options, 7)]


def test_processes_share_a_batch_or_say_why_not(options, monkeypatch):
    monkeypatch.setattr("dopsd.training.loop.Accelerator", lambda cpu: Other(None))
    with pytest.raises(
        UserError, match=r"train\.batch_size 2 cannot be split into train\.accumulation 2 x 2 processes$"
    ):
        training(options.model_copy(update={"accumulation": 2}))


def test_on_a_gpu_passes_are_recorded_over_gradients_that_stay(options, monkeypatch):
    monkeypatch.setattr("dopsd.training.loop.Recorded", lambda *given: given)
    field = Field()
    field.device = torch.device("cuda", 0)
    one = Training(field, tiny.method("sft"), options.model_copy(update={"cuda_graphs": True}), 0, RATE)
    assert one.passes == (one._passes, field.device)
    assert all(p.grad is not None and p.grad.shape == p.shape and not p.grad.any() for p in one.parameters)


def test_gradients_stay_where_they_are_only_for_recorded_passes(options):
    one = training(options, "sft")
    one.advance([batch()])
    assert all(p.grad is None for p in one.parameters)
    one.settings = options.model_copy(update={"cuda_graphs": True})
    one.advance([batch()])
    assert all(p.grad is not None and not p.grad.any() for p in one.parameters)


def test_checkpointing_is_asked_for_as_it_is_set(options):
    asked = []

    class Careful(Field):
        def __init__(self):
            super().__init__()
            self.transformer.enable_gradient_checkpointing = asked.append

    Training(Careful(), tiny.method("sft"), options, 0, RATE)
    assert asked == []
    Training(Careful(), tiny.method("sft"), options.model_copy(update={"gradient_checkpointing": True}), 0, RATE)
    assert asked[0].keywords == {"use_reentrant": False, "preserve_rng_state": False}
    assert asked[0].func is torch.utils.checkpoint.checkpoint


PAIRS = ((0, 1), (0, 2), (1, 2))


def drawn(options, process=0, processes=1, seed=3, step=5):
    return draw_batch(Visits(), Field(), options, 4, seed, step, process, processes)


def test_a_batch_is_drawn_from_seed_and_step(options):
    options = options.model_copy(update={"batch_size": 8})
    (one,) = drawn(options)
    who = random.Random(number("batch", 3, 5))
    assert one.latents[:, 0, 0, 0].tolist() == [who.randrange(8) for _ in range(8)]
    generator = torch.Generator().manual_seed(number("noise", 3, 5))
    assert torch.equal(one.noise, torch.randn(8, 1, 2, 3, generator=generator))
    assert torch.equal(one.times, torch.rand(8, generator=generator))
    assert torch.equal(one.grid, torch.linspace(0, 1, 5))
    for i, (student, teacher) in enumerate(zip(one.student_context, one.teacher_context, strict=True)):
        assert (
            student.features[0, 0] == one.latents[i, 0, 0, 0] and teacher.features[0, 0] == student.features[0, 0] + 0.5
        )
    for other in (drawn(options, seed=4), drawn(options, step=6)):
        assert not torch.equal(one.noise, other[0].noise) and not torch.equal(one.latents, other[0].latents)


def test_a_batch_of_what_nobody_has_seen_has_no_teachers_context(options):
    blind = SimpleNamespace(draw=lambda n, rng: [replace(visit(i), teacher=None) for i in range(n)])
    (one,) = draw_batch(blind, Field(), options, 4, 3, 5)
    assert one.teacher_context is None and len(one.student_context) == 2


def test_a_batch_is_on_the_backbones_device(options):
    field = Field()
    field.device = torch.device("meta")
    (one,) = draw_batch(Visits(), field, options, 4, 3, 5, states=2)
    ((noise, times),) = one.more
    assert {t.device.type for t in (one.latents, one.noise, one.times, one.grid, noise, times)} == {"meta"}


@pytest.mark.parametrize(("accumulation", "processes"), [(1, 1), (8, 1), (1, 2), (2, 2)])
def test_parts_and_processes_share_a_batch_without_gap_or_overlap(options, accumulation, processes):
    (whole,) = drawn(options.model_copy(update={"batch_size": 8}))
    split = options.model_copy(update={"batch_size": 8, "accumulation": accumulation})
    shares = [drawn(split, process, processes) for process in range(processes)]
    assert [len(share) for share in shares] == [accumulation] * processes
    parts = [share[i] for i in range(accumulation) for share in shares]
    for name in ("latents", "noise", "times"):
        assert torch.equal(torch.cat([getattr(p, name) for p in parts]), getattr(whole, name))
    for name in ("student_context", "teacher_context"):
        features = [c.features for p in parts for c in getattr(p, name)]
        assert torch.equal(torch.stack(features), torch.stack([c.features for c in getattr(whole, name)]))


class Other:
    """An accelerator of a second process, whose gradients, losses and flags are `its`."""

    num_processes, process_index, device = 2, 1, torch.device("cpu")

    def __init__(self, its):
        self.its = its

    def reduce(self, mine, reduction):
        return (mine + self.its) / {"mean": 2, "sum": 1}[reduction]


def test_gradients_and_losses_are_averaged_over_processes(options):
    one = training(options, "sft")
    for p, value in zip(one.parameters, (2.0, 4.0), strict=True):
        p.grad = torch.full_like(p, value)
    before = [p.grad for p in one.parameters]
    one.accelerator = Other(torch.tensor([0.0, 1.0, 5.0]))
    assert one._averaged(torch.tensor(3.0, dtype=torch.float64)) == 4.0
    assert [p.grad.item() for p in one.parameters] == [1.0, 2.5]
    assert all(a is p.grad for a, p in zip(before, one.parameters, strict=True))


def test_one_process_that_is_asked_stops_all(options):
    one = training(options, "sft")
    assert one.anyone(True) is True and one.anyone(False) is False
    for theirs, asked, stops in ((0.0, False, False), (0.0, True, True), (1.0, False, True), (1.0, True, True)):
        one.accelerator = Other(torch.tensor(theirs))
        assert one.anyone(asked) is stops
    asked_where = []
    one.accelerator = SimpleNamespace(
        num_processes=2,
        device=torch.device("meta"),
        reduce=lambda flag, reduction: asked_where.append(flag.device.type) or torch.zeros(()),
    )
    assert one.anyone(True) is False and asked_where == ["meta"]


def test_a_process_draws_its_own_share(options):
    one = training(options.model_copy(update={"batch_size": 4}))
    one.step = 9
    one.accelerator = Other(None)
    (mine,) = one.batch(Visits())
    (whole,) = draw_batch(Visits(), Field(), one.settings, 3, 0, 9)
    assert torch.equal(mine.noise, whole.noise[2:]) and len(mine.grid) == 4


def test_a_restored_training_is_the_training(options):
    one, other = training(options), training(options)
    one.advance([batch(seed=1)])
    one.log.append((1, 2.0, 3.0, 4.0))
    one.seconds = 5.0
    other.restore(copy.deepcopy(one.state()))
    assert (other.step, other.seconds, other.log) == (1, 5.0, [(1, 2.0, 3.0, 4.0)])
    assert other.advance([batch(seed=2)]) == one.advance([batch(seed=2)])
    assert numbers(other.parameters) == numbers(one.parameters)
    assert numbers(other.teacher.parameters) == numbers(one.teacher.parameters)


def test_an_ema_over_masters_of_another_type_is_kept_in_float32(options):
    field = Field()
    field.dtype = torch.bfloat16
    weights = begin(field, options, 0)
    teacher = Teacher(weights, "ema", 0.999)
    with torch.no_grad():
        weights.parameters[0].fill_(0.75)
    teacher.update()
    assert teacher.parameters[0].item() == pytest.approx(0.999 * 0.5 + 0.001 * 0.75, abs=1e-7)
    assert next(weights._speaker.parameters()).dtype == torch.bfloat16
    with weights.teacher():
        assert field.transformer is weights._speaker
    assert field.transformer is not weights._speaker


def test_further_states_of_a_batch_are_new_and_the_first_is_any_methods(options):
    options = options.model_copy(update={"batch_size": 4})
    (one,), (three,) = drawn(options), draw_batch(Visits(), Field(), options, 4, 3, 5, states=3)
    assert one.more == () and torch.equal(three.noise, one.noise) and torch.equal(three.times, one.times)
    assert len(three.more) == 2 and torch.equal(three.latents, one.latents)
    noises, times = zip((three.noise, three.times), *three.more, strict=True)
    assert {(tuple(e.shape), tuple(t.shape)) for e, t in zip(noises, times, strict=True)} == {((4, 1, 2, 3), (4,))}
    assert all(not torch.equal(noises[i], noises[j]) and not torch.equal(times[i], times[j]) for i, j in PAIRS)
    parts = draw_batch(Visits(), Field(), options.model_copy(update={"accumulation": 2}), 4, 3, 5, states=3)
    for k in range(2):
        for which in range(2):
            assert torch.equal(torch.cat([part.more[k][which] for part in parts]), three.more[k][which])


def test_a_method_is_given_as_many_states_as_it_needs(options):
    for method, changes, more in (("sft", {}, 0), ("sft", {"states": 4}, 3), ("sft_teacher", {}, 1), ("dopsd", {}, 0)):
        (part, *_) = training(options, method, **changes).batch(Visits())
        assert len(part.more) == more, method
