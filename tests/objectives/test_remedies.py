"""The losses of what others do against lost few steps, on fields whose answers are known."""

from dataclasses import replace

import pytest
import tiny
import torch
from nets import Net, batch, further, gradients

from dopsd.method import flow
from dopsd.method.preparation import Preparation, Prepared, pick
from dopsd.objectives import (
    Needs,
    anchored_sft,
    base_lora,
    distill_adapter,
    dreambooth,
    imitation,
    preservation,
    pso,
    repair_lora,
    sft,
)

CLASS = torch.randn(5, 2, 4, 4, generator=torch.Generator().manual_seed(3))
WORD = torch.randn(5, 6, generator=torch.Generator().manual_seed(4))


def straight(to: torch.Tensor):
    """The velocity that leads from any state to known pictures."""
    return lambda x, t, context: (to - x) / (1 - t[:, None, None, None])


def test_every_number_of_a_choice_is_equally_likely_and_a_function_of_the_noise():
    noise = torch.randn(40_000, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    share = torch.bincount(pick(noise, 4), minlength=4) / len(noise)
    assert share.tolist() == pytest.approx([0.25] * 4, abs=0.01)
    assert torch.equal(pick(noise, 4), pick(noise, 4))
    both = torch.stack([pick(noise, 2), pick(noise, 2, place=1)]).float()
    assert abs(torch.corrcoef(both)[0, 1]) < 0.02  # two numbers of one noise say nothing of each other
    assert pick(torch.full((2, 1, 2, 2), 40.0), 4).tolist() == [3, 3]


def test_dreambooth_is_sft_on_the_set_and_as_much_on_pictures_of_the_class():
    b, net = replace(batch(), more=further(2)), Net()
    given = Prepared(pictures=CLASS, of=WORD)
    how = dreambooth.Settings(weight=2.0, pictures=5, rollout_steps=4)
    of_set, of_class = dreambooth.loss(net, None, b, how, given)
    (plain,) = sft.loss(net, None, replace(b, more=()), sft.Settings(states=1))
    assert torch.equal(of_set, plain)
    (noise, times), (chance, _) = b.more
    prior = CLASS[pick(chance, 5)]
    as_data = replace(b, latents=prior, noise=noise, times=times, student_context=[WORD] * 3, more=())
    (expected,) = sft.loss(net, None, as_data, sft.Settings(states=1))
    assert torch.equal(of_class, 2 * expected) and not torch.equal(of_class, 2 * of_set)


def test_pso_at_equal_pictures_keeps_what_is_drawn_and_prefers_nothing():
    """Where both pictures are one, L_pos = L_neg = L: relu(1 + 4.5 L) + .5 L = 1 + 5 L."""
    b = replace(batch(), more=further(1))
    b = replace(b, latents=CLASS[:1].expand(3, -1, -1, -1))
    how = pso.Settings(sharpness=5.0, share=0.1, kept=0.5, pictures=1, rollout_steps=4)
    off = b.latents - b.noise + 0.3  # L = .09
    (loss,) = pso.loss(lambda *_: off, None, b, how, Prepared(pictures=CLASS[:1]))
    assert loss.item() == pytest.approx(1 + 5 * 0.09, rel=1e-5)


def test_pso_pairs_the_set_and_the_class_at_one_noise_and_one_time_of_the_roll_out():
    b, seen = replace(batch(), more=further(1)), []

    def student(x, t, context):
        seen.append((x, t, context))
        return straight(b.latents)(x, t, context)  # L_pos = 0

    how = pso.Settings(sharpness=5.0, share=0.1, kept=0.5, pictures=5, rollout_steps=4)
    (loss,) = pso.loss(student, None, b, how, Prepared(pictures=CLASS))
    (x, t, said), (y, u, again) = seen
    ((chance, _),) = b.more
    negative = CLASS[pick(chance, 5)]
    assert torch.equal(t, u) and torch.equal(t, b.grid[:-1][pick(chance, 4, place=1)])  # by a number of its own
    assert said is b.student_context and again is b.student_context
    assert torch.allclose(x, flow.interpolate(b.latents, b.noise, t))
    assert torch.allclose(y, flow.interpolate(negative, b.noise, t))
    worse = (straight(b.latents)(y, t, None) - (negative - b.noise)).flatten(1).square().mean(1)
    expected = (torch.relu(1 - 0.5 * worse) + 0.5 * worse).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    middle = worse.mean()  # some are preferred enough, some are not: each sample by itself
    how = pso.Settings(sharpness=10 / middle.item(), share=0.1, kept=0.5, pictures=5, rollout_steps=4)
    (loss,) = pso.loss(student, None, b, how, Prepared(pictures=CLASS))
    assert loss.item() == pytest.approx((torch.relu(1 - worse / middle) + 0.5 * worse).mean().item(), rel=1e-4)


def test_every_time_of_the_roll_out_is_drawn_for_pso_where_the_batch_is():
    b, seen = batch(400), []
    (noise, times), g = (torch.randn(400, 2, 4, 4), torch.rand(400)), torch.Generator().manual_seed(0)
    b = replace(b, more=((torch.randn(noise.shape, generator=g), times),))
    how = pso.Settings(sharpness=5.0, share=0.1, kept=0.5, pictures=5, rollout_steps=4)
    list(pso.loss(lambda x, t, c: seen.append(t) or x, None, b, how, Prepared(pictures=CLASS)))
    assert set(seen[0].tolist()) == set(b.grid[:-1].tolist())
    there = replace(b, **{k: getattr(b, k).to("meta") for k in ("latents", "noise")}, more=((noise.to("meta"), times),))
    list(pso.loss(lambda x, t, c: seen.append(t) or x, None, there, how, Prepared(pictures=CLASS.to("meta"))))
    assert {t.device.type for t in seen[2:]} == {"meta"}


def test_an_anchor_pulls_to_the_untouched_model_and_its_weight_says_how_much():
    b, net, start = batch(), Net(0), Net(1)
    (plain,) = sft.loss(net, None, b, sft.Settings(states=1))
    (same,) = anchored_sft.loss(net, net, b, anchored_sft.Settings(weight=3.0))
    assert torch.equal(same, plain)  # before a step, the student is the untouched model
    (half,), (whole,) = (anchored_sft.loss(net, start, b, anchored_sft.Settings(weight=w)) for w in (0.5, 1.0))
    assert (whole - plain).item() == pytest.approx(2 * (half - plain).item(), rel=1e-4) and whole > half > plain
    whole.backward()
    assert all(p.grad is None for p in start.parameters())


def test_preservation_keeps_what_prompts_of_the_class_give_and_nothing_else():
    b, net, start = replace(batch(), more=further(1)), Net(0), Net(1)
    prompts = list(torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(5)))
    said = []

    def asked(x, t, context):
        said.append(context)
        return net(x, t, context)

    data, kept = preservation.loss(asked, start, b, preservation.Settings(weight=1.0), Prepared(prompts=prompts))
    (plain,) = sft.loss(net, None, replace(b, more=()), sft.Settings(states=1))
    assert torch.equal(data, plain) and said[0] is b.student_context
    ((chance, _),) = b.more
    assert all(c is prompts[k] for c, k in zip(said[1], pick(chance, 4).tolist(), strict=True))
    kept.backward()
    assert kept > 0 and all(p.grad is None for p in start.parameters()) and any(g.abs().sum() for g in gradients(net))
    _, nothing = preservation.loss(net, net, b, preservation.Settings(weight=1.0), Prepared(prompts=prompts))
    assert nothing.item() == 0


def test_imitation_of_oneself_is_nothing_and_of_another_is_its_distance_on_the_states_that_are_visited():
    b, net = batch(), Net(0)
    how = imitation.Settings(rollout_steps=4)
    assert [x.item() for x in imitation.loss(net, None, b, how, Prepared(untouched=net))] == [0.0] * 4
    visited = []

    def other(x, t, context):
        assert context is b.student_context and not torch.is_grad_enabled()
        visited.append((x, t))
        return net(x, t, context) + 2

    assert [x.item() for x in imitation.loss(net, None, b, how, Prepared(untouched=other))] == pytest.approx([1.0] * 4)
    assert torch.equal(visited[0][0], b.noise) and [t[0].item() for _, t in visited] == b.grid[:-1].tolist()


@pytest.mark.parametrize("method", [base_lora, distill_adapter, repair_lora])
def test_what_differs_from_sft_in_its_preparation_alone_has_sfts_loss(method):
    b, net, how = batch(), Net(), tiny.METHODS[method.__name__.rpartition(".")[2]]
    (mine,), (plain,) = (
        method.loss(net, None, b, method.Settings(**how)),
        sft.loss(net, None, b, sft.Settings(states=1)),
    )
    assert torch.equal(mine, plain)


def test_what_the_remedies_need_and_ask_for():
    def asks(name):
        method = tiny.method(name)
        return method.needs, method.objective.preparation(method.settings)

    assert asks("base_lora") == (Needs(forwards=3), Preparation(base=True))
    assert asks("dreambooth") == (Needs(forwards=6, states=3), Preparation(pictures=6, rollout_steps=3))
    assert asks("pso") == (Needs(forwards=6, rollout_steps=3, states=2), Preparation(pictures=6, rollout_steps=3))
    assert asks("preservation") == (Needs(forwards=7, teacher="frozen", states=2), Preparation(prompts=True))
    assert asks("imitation") == (Needs(forwards=12, rollout_steps=3), Preparation(untouched=True))
    adapter = Preparation(pictures=4, rollout_steps=3, steps=3, rate=1e-3)
    assert asks("distill_adapter") == (Needs(forwards=3), replace(adapter, adapter="undistilled"))
    assert asks("repair_lora") == (Needs(forwards=3), replace(adapter, adapter="repair"))
    assert tiny.method("anchored_sft").needs == Needs(forwards=4, teacher="frozen")
    assert Preparation(pictures=6, rollout_steps=3).forwards == 18 and replace(adapter, adapter="repair").forwards == 0
