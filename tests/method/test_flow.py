import math

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from dopsd.method import flow
from dopsd.method.rollout import rollout, sample


def test_interpolation_runs_from_noise_to_data_and_v_is_its_slope():
    x0, noise = torch.randn(3, 2, 4, 4), torch.randn(3, 2, 4, 4)
    assert torch.equal(flow.interpolate(x0, noise, torch.zeros(3)), noise)
    assert torch.equal(flow.interpolate(x0, noise, torch.ones(3)), x0)
    t = torch.tensor([0.1, 0.5, 0.9])
    slope = (flow.interpolate(x0, noise, t + 0.01) - flow.interpolate(x0, noise, t - 0.01)) / 0.02
    assert torch.allclose(slope, flow.velocity_target(x0, noise), atol=1e-4)
    x_t = flow.interpolate(x0, noise, t)
    assert torch.allclose(flow.x0_from_velocity(x_t, x0 - noise, t), x0, atol=1e-5)


def test_one_time_serves_all_samples():
    x0, noise = torch.randn(3, 2, 4, 4), torch.randn(3, 2, 4, 4)
    for t in (0.25, torch.tensor(0.25)):
        assert torch.equal(flow.interpolate(x0, noise, t), 0.75 * noise + 0.25 * x0)
        assert torch.equal(flow.x0_from_velocity(x0, noise, t), x0 + 0.75 * noise)


def test_the_grid_is_the_schedulers():
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0)
    assert flow.step_grid(scheduler, 4).tolist() == pytest.approx([0, 0.1, 0.25, 0.5, 1])  # the release's
    assert flow.step_grid(scheduler, 1).tolist() == [0, 1]
    grid = flow.step_grid(scheduler, 8)
    assert len(grid) == 9 and (grid.diff() > 0).all()
    with pytest.raises(ValueError, match="at least one step"):
        flow.step_grid(scheduler, 0)


def test_a_grid_is_shifted_by_the_mu_of_the_pictures_size():
    """The exponential shift: sigma = e^mu / (e^mu + 1 / sigma - 1)."""
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, use_dynamic_shifting=True)
    for mu in (0.5, 2.0):
        sigmas = [math.exp(mu) / (math.exp(mu) + 1 / sigma - 1) for sigma in (1.0, 0.75, 0.5, 0.25)]
        assert flow.step_grid(scheduler, 4, mu).tolist() == pytest.approx([*(1 - s for s in sigmas), 1.0], abs=1e-6)


def test_shifted_times_agree_with_the_schedulers_shift():
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0)
    linear = torch.linspace(0, 0.75, 4)
    assert torch.allclose(flow.shifted(linear, 3.0), flow.step_grid(scheduler, 4)[:-1], atol=1e-6)


def test_a_constant_field_is_integrated_exactly_and_states_are_visited_in_order():
    noise, grid = torch.randn(2, 3), torch.tensor([0.0, 0.3, 0.35, 1.0])
    assert torch.allclose(sample(lambda x, t: torch.full_like(x, 2.0), noise, grid), noise + 2, atol=1e-6)
    states = list(rollout(lambda x, t: torch.ones_like(x), noise, grid))
    assert [round(s.t[0].item(), 2) for s in states] == [0.0, 0.3, 0.35]
    assert torch.allclose(states[2].x, noise + 0.35) and torch.allclose(states[2].after, noise + 1)


def test_a_state_keeps_its_type_and_its_device():
    v = torch.tensor([[1.0, 0.3]]).bfloat16()
    (state,) = rollout(lambda x, t: v, torch.zeros(1, 2), torch.tensor([0.0, 0.7]))
    assert torch.equal(state.after, torch.tensor(0.7) * v.float())  # no rounding beyond the field's own
    (state,) = rollout(lambda x, t: x, torch.zeros(2, 3, device="meta"), torch.tensor([0.0, 1.0]))
    assert state.t.device.type == "meta"


def test_a_roll_out_without_steps_stays_where_it_is():
    noise = torch.randn(2, 3)
    assert torch.equal(sample(None, noise, torch.tensor([1.0])), noise)


def test_an_analytic_gaussian_field_leads_to_the_known_distribution():
    """Data N(m, s^2): the marginal velocity is known in closed form, and its flow maps e to m + s e."""
    m, s = 1.5, 0.3

    def velocity(x, t):
        t = t[:, None]
        variance = (1 - t) ** 2 + t**2 * s**2
        return m + (t * s**2 - (1 - t)) / variance * (x - t * m)

    noise = torch.randn(500, 1, generator=torch.Generator().manual_seed(0)).double()
    out = sample(velocity, noise, torch.linspace(0, 1, 2001).double())
    assert torch.allclose(out, m + s * noise, atol=5e-3)


def test_no_gradient_crosses_steps():
    weight = torch.tensor(0.5, requires_grad=True)
    first, second = rollout(lambda x, t: weight * x, torch.ones(1, 1), torch.tensor([0.0, 0.5, 1.0]))
    assert not second.x.requires_grad and second.v.requires_grad
    (gradient,) = torch.autograd.grad(second.v.sum(), weight)
    assert gradient.item() == pytest.approx(first.after.item())  # d(w x_1)/dw = x_1, as if x_1 were data
