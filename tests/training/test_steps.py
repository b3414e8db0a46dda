"""The loop on a field of two weights, whose every step can be computed beside it."""

import copy
import random
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
import tiny
import torch

from dopsd.method.context import Condition
from dopsd.objectives import Batch
from dopsd.support.errors import UserError
from dopsd.support.seeds import number
from dopsd.training.encoded import Visit
from dopsd.training.loop import Preview, Stopped, Training, draw_batch, run, save_weights, write_log
from dopsd.training.teacher import Teacher
from dopsd.training.weights import begin

RATE = 0.01


class Field:
    """v = w x + what the context says, times b; all that a training asks of a backbone."""

    device, dtype = torch.device("cpu"), torch.float32
    settings = SimpleNamespace(quantize="none")

    def __init__(self):
        self.transformer = torch.nn.Linear(1, 1)
        with torch.no_grad():
            self.transformer.weight.fill_(0.5)
            self.transformer.bias.fill_(1.0)

    def velocity(self, x, t, context):
        told = torch.stack([c.features.mean() for c in context])[:, None, None, None]
        return self.transformer.weight * x + self.transformer.bias * told

    def step_grid(self, steps, size):
        assert tuple(size) == (2, 3)
        return torch.linspace(0, 1, steps + 1)

    def random_times(self, n, size, generator):
        assert tuple(size) == (2, 3)
        return torch.rand(n, generator=generator)


class Visits:
    """Eight visits, told apart by the number in their latents."""

    def draw(self, n, rng):
        return [visit(rng.randrange(8)) for _ in range(n)]


def visit(i: int) -> Visit:
    teacher = Condition(torch.full((3, 4), i + 0.5))
    return Visit(torch.full((1, 2, 3), float(i)), Condition(torch.full((2, 4), float(i))), teacher)


def batch(n: int = 2, seed: int = 0) -> Batch:
    g = torch.Generator().manual_seed(seed)
    x0, noise = torch.randn(n, 1, 2, 3, generator=g), torch.randn(n, 1, 2, 3, generator=g)
    student = [Condition(torch.full((2, 4), 1.0 + i)) for i in range(n)]
    teacher = [Condition(torch.full((3, 4), 3.0 - i)) for i in range(n)]
    return Batch(x0, noise, torch.rand(n, generator=g), student, teacher, torch.tensor([0.0, 0.3, 1.0]))


@pytest.fixture
def options(train_settings):
    return train_settings.model_copy(
        update={"tune": "full", "clip": 0.5, "betas": (0.8, 0.9), "weight_decay": 0.1, "batch_size": 2}
    )


def training(options, method="dopsd", rate=RATE, **changes) -> Training:
    return Training(Field(), tiny.method(method, **changes), options, 0, rate)


def numbers(parameters) -> list[float]:
    return torch.cat([p.detach().flatten() for p in parameters]).tolist()


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
    (one,) = draw_batch(Visits(), field, options, 4, 3, 5)
    assert {t.device.type for t in (one.latents, one.noise, one.times, one.grid)} == {"meta"}


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


class Clock:
    """A time that a step takes one second of."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr("dopsd.training.loop.time.time", lambda: self.now)


@pytest.fixture
def started(options, monkeypatch, tmp_path):
    """A training of four steps of a second each, and what it drew and saved."""
    clock, seen = Clock(monkeypatch), SimpleNamespace(previews=[], states=[], kept=[])
    one = training(options.model_copy(update={"save_every": 1.5, "checkpoints": (1, 3)}), "sft")
    advance = one.advance

    def slow(parts):
        clock.now += 1.0
        return advance(parts)

    monkeypatch.setattr(one, "advance", slow)
    monkeypatch.setattr("dopsd.training.loop.state.save", lambda file, state: seen.states.append((file, state["step"])))
    monkeypatch.setattr("dopsd.training.loop.save_weights", lambda weights, folder: seen.kept.append(folder.name))
    return one, seen, tmp_path


def test_a_run_keeps_draws_saves_and_logs_when_it_is_due(started):
    one, seen, folder = started
    (folder / "state.pt").touch()
    run(one, Visits(), folder, "test", Preview(3, seen.previews.append))
    assert seen.previews == [0, 3, 4]
    assert seen.kept == ["step-0001", "step-0003", "step-0004"]
    assert seen.states == [(folder / "state.pt", 2)]  # not at the end
    assert sorted(f.name for f in folder.iterdir()) == ["loss.csv", "time.json"]
    rows = [row.split(",") for row in (folder / "loss.csv").read_text().splitlines()]
    assert [row[0] for row in rows] == ["step", "1", "2", "3", "4"]
    assert [float(row[2]) for row in rows[1:]] == [RATE] * 4
    assert [tuple(map(float, row)) for row in rows[1:]] == one.log
    assert one.seconds == 4.0
    assert (folder / "time.json").read_text().split() == ["{", '"seconds":', "4.0,", '"steps":', "4", "}"]


def test_a_run_that_is_asked_to_stop_saves_after_its_step(started, monkeypatch):
    one, seen, folder = started

    @contextmanager
    def asked():
        request = SimpleNamespace(asked=False)
        advance = one.advance

        def interrupted(parts):
            request.asked = one.step == 0
            return advance(parts)

        one.advance = interrupted
        yield request

    monkeypatch.setattr("dopsd.training.loop.asked_to_stop", asked)
    with pytest.raises(Stopped, match=r"^stopped after step 1 of 4; the same command goes on from there$"):
        run(one, Visits(), folder, "test", Preview(2, seen.previews.append))
    assert seen.states == [(folder / "state.pt", 1)] and seen.previews == [0] and not list(folder.iterdir())


class Bar:
    """A progress bar that notes what it is told."""

    def __init__(self, **how):
        self.how, self.steps, self.said = how, 0, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def update(self):
        self.steps += 1

    def set_postfix(self, **said):
        self.said.append(said)


@pytest.mark.parametrize("main", [True, False])
def test_the_bar_says_where_a_training_is(started, monkeypatch, main):
    one, _, folder = started
    one.step, bars = 2, []
    monkeypatch.setattr("dopsd.training.loop.tqdm", lambda **how: bars.append(Bar(**how)) or bars[-1])
    monkeypatch.setattr("dopsd.training.loop.memory", lambda device: f"memory of {device}")
    monkeypatch.setattr(type(one.accelerator), "is_main_process", main)
    run(one, Visits(), folder, "corgi", None)
    (bar,) = bars
    assert bar.how == {"total": 4, "initial": 2, "desc": "corgi", "disable": not main} and bar.steps == 2
    assert bar.said == [{"loss": f"{row[1]:.4f}", "memory": "memory of cpu"} for row in one.log]


def test_a_run_that_goes_on_draws_no_first_preview(started):
    one, seen, folder = started
    one.step = 3
    run(one, Visits(), folder, "test", Preview(9, seen.previews.append))
    assert seen.previews == [4] and len(one.log) == 1


def test_only_the_main_process_writes(started):
    one, seen, folder = started
    one.accelerator = SimpleNamespace(
        is_main_process=False,
        num_processes=1,
        process_index=0,
        backward=one.accelerator.backward,
        clip_grad_norm_=one.accelerator.clip_grad_norm_,
        wait_for_everyone=lambda: seen.states.append("waited"),
    )
    run(one, Visits(), folder, "test", Preview(4, seen.previews.append))
    assert seen.previews == [0, 4] and seen.kept == [] and seen.states == ["waited"] and not list(folder.iterdir())


def test_weights_are_written_whole_in_place_of_older_ones(tmp_path):
    class Written:
        def save(self, folder):
            assert not list(folder.iterdir()) and folder.name == "step-0001.tmp"
            (folder / "new").touch()

    for old in ("step-0001", "step-0001.tmp"):
        (tmp_path / old).mkdir()
        (tmp_path / old / "old").touch()
    save_weights(Written(), tmp_path / "step-0001")
    assert [str(f.relative_to(tmp_path)) for f in sorted(tmp_path.rglob("*"))] == ["step-0001", "step-0001/new"]


def test_a_log_is_a_row_a_step(tmp_path):
    write_log([(1, 0.5, 0.1, 2.0), (2, 0.25, 0.1, 1.0)], tmp_path / "loss.csv")
    assert (tmp_path / "loss.csv").read_bytes() == (b"step,loss,lr,grad_norm\r\n1,0.5,0.1,2.0\r\n2,0.25,0.1,1.0\r\n")
    assert [f.name for f in tmp_path.iterdir()] == ["loss.csv"]
