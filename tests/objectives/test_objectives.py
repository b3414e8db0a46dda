"""The losses on small fields whose answers are known."""

import importlib

import pytest
import torch

from dopsd import objectives
from dopsd.config.section import Section
from dopsd.objectives import Batch, dopsd, sft
from dopsd.support.errors import UserError

GRID = torch.tensor([0.0, 0.1, 0.25, 0.5, 1.0])


def batch(n: int = 3) -> Batch:
    g = torch.Generator().manual_seed(0)
    x0, noise = torch.randn(n, 2, 4, 4, generator=g), torch.randn(n, 2, 4, 4, generator=g)
    times = torch.rand(n, generator=g)
    student = list(torch.randn(n, 5, 6, generator=g))
    teacher = list(torch.randn(n, 9, 6, generator=g))
    return Batch(x0, noise, times, student, teacher, GRID)


class Net(torch.nn.Module):
    """A velocity that depends on state, time and context."""

    def __init__(self, seed: int = 0):
        super().__init__()
        torch.manual_seed(seed)
        self.mix, self.read = torch.nn.Conv2d(2, 2, 1), torch.nn.Linear(6, 2)

    def forward(self, x, t, context):
        told = torch.stack([self.read(c.mean(0)) for c in context])[:, :, None, None]
        return self.mix(x) * (1 + t[:, None, None, None]) + told


def gradients(net: Net) -> list[torch.Tensor]:
    return [p.grad.clone() for p in net.parameters()]


def settings(loss: str) -> dopsd.Settings:
    return dopsd.Settings(loss=loss, teacher="ema", ema=0.9, rollout_steps=4, shown="itself")


@pytest.mark.parametrize("loss", ["velocity", "x0"])
def test_equal_contexts_and_weights_give_a_loss_of_exactly_zero(loss):
    net, b = Net(), batch()
    same = Batch(b.latents, b.noise, b.times, b.student_context, b.student_context, GRID)
    assert [x.item() for x in dopsd.loss(net, net, same, settings(loss))] == [0.0] * 4
    assert all(x.item() > 0 for x in dopsd.loss(net, net, b, settings(loss)))


def test_the_x0_loss_is_the_velocity_loss_times_one_minus_t_squared():
    net, teacher, b = Net(0), Net(1), batch()
    velocity = torch.stack(list(dopsd.loss(net, teacher, b, settings("velocity"))))
    x0 = torch.stack(list(dopsd.loss(net, teacher, b, settings("x0"))))
    assert torch.allclose(x0, (1 - GRID[:-1]) ** 2 * velocity, rtol=1e-5)


def test_the_losses_sum_to_the_papers_mean_over_states():
    net, teacher, b = Net(0), Net(1), batch()
    x, expected = b.noise, 0.0
    for t, after in zip(GRID[:-1], GRID[1:], strict=True):
        now = t.expand(3)
        u_s, u_t = net(x, now, b.student_context), teacher(x, now, b.teacher_context)
        expected = expected + ((u_s - u_t) ** 2).mean() / 4
        x = (x + (after - t) * u_s).detach()
    assert torch.allclose(sum(dopsd.loss(net, teacher, b, settings("velocity"))), expected)


def test_no_gradient_reaches_the_teacher():
    net, teacher = Net(0), Net(1)
    for loss in dopsd.loss(net, teacher, batch(), settings("velocity")):
        loss.backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert all(g.abs().sum() > 0 for g in gradients(net))


@pytest.mark.parametrize("loss", ["velocity", "x0"])
def test_a_backward_per_step_equals_one_over_the_sum(loss):
    teacher, b = Net(1), batch()
    step_by_step, summed = Net(0), Net(0)
    for part in dopsd.loss(step_by_step, teacher, b, settings(loss)):
        part.backward()
    sum(dopsd.loss(summed, teacher, b, settings(loss))).backward()
    for a, c in zip(gradients(step_by_step), gradients(summed), strict=True):
        assert torch.allclose(a, c, rtol=1e-5, atol=1e-7)


def test_sft_is_flow_matching_on_the_data():
    b = batch()
    (perfect,) = sft.loss(lambda x, t, c: b.latents - b.noise, None, b, sft.Settings(states=1))
    assert perfect.item() == 0.0
    seen = []
    list(sft.loss(lambda x, t, c: seen.append((x, t, c)) or x, None, b, sft.Settings(states=1)))
    t = b.times[:, None, None, None]
    assert torch.equal(seen[0][0], (1 - t) * b.noise + t * b.latents)
    assert seen[0][1] is b.times and seen[0][2] is b.student_context


def test_an_unknown_method_is_named():
    with pytest.raises(
        UserError, match=r"p\.yaml: methods\.magic: no such method; known: dopsd, off_policy, sft, sft_teacher"
    ):
        objectives.method("magic", {"magic": {}}, "p.yaml")


def test_a_method_reads_its_own_settings_and_says_what_it_needs():
    given = {"loss": "x0", "teacher": "frozen", "ema": 0.5, "rollout_steps": 7, "shown": "itself"}
    needs = objectives.method("dopsd", {"dopsd": given}, "p.yaml").needs
    assert (needs.seen, needs.teacher, needs.decay, needs.rollout_steps) == (True, "frozen", 0.5, 7)
    needs = objectives.method("sft", {"sft": {"states": 1}}, "p.yaml").needs
    assert not needs.seen and needs.teacher is None
    with pytest.raises(UserError, match=r"p\.yaml: methods\.dopsd\.loss: .*'velocity'"):
        objectives.method("dopsd", {"dopsd": given | {"loss": "l1"}}, "p.yaml")
    with pytest.raises(UserError, match=r"p\.yaml: methods\.sft\.loss: unknown; known: states"):
        objectives.method("sft", {"sft": {"loss": "x0", "states": 1}}, "p.yaml")


def test_every_file_is_a_method_that_keeps_the_contract():
    for name in objectives.names():
        module = importlib.import_module(objectives.module(name))
        assert issubclass(module.Settings, Section) and callable(module.needs) and callable(module.loss)
