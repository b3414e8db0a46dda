"""The losses on small fields whose answers are known."""

import importlib
from dataclasses import replace

import pytest
import tiny
import torch
from nets import GRID, Net, batch, further, gradients

from dopsd import objectives
from dopsd.config.section import Section
from dopsd.method.preparation import Preparation, Prepared
from dopsd.objectives import Batch, Needs, dopsd, dopsd_mu, off_policy, sft, sft_on_policy, sft_teacher
from dopsd.support.errors import UserError
from dopsd.training import prepared


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
        UserError,
        match=r"p\.yaml: methods\.magic: no such method; known: anchored_sft, .*dopsd, .*sft_teacher",
    ):
        objectives.method("magic", {}, "p.yaml")


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


def test_off_policy_looks_at_the_noised_data_at_the_times_that_the_roll_out_visits():
    b, seen = batch(), []
    told = dict(zip(map(id, (b.student_context, b.teacher_context)), "st", strict=True))

    def field(x, t, context):
        seen.append((x, t, told[id(context)]))
        return torch.full_like(x, 3.0 if told[id(context)] == "s" else 1.0)

    given = off_policy.Settings(**settings("velocity").model_dump())
    assert [x.item() for x in off_policy.loss(field, field, b, given)] == [1.0] * 4  # (3 - 1)^2 / K
    assert [who for _, _, who in seen] == list("st" * 4)
    for k, t in enumerate(GRID[:-1].tolist()):
        for x, now, _ in seen[2 * k : 2 * k + 2]:
            assert torch.equal(now, torch.full((3,), t)) and torch.allclose(x, (1 - t) * b.noise + t * b.latents)


@pytest.mark.parametrize("loss", ["velocity", "x0"])
def test_off_policy_begins_as_the_roll_out_does_and_goes_another_way(loss):
    net, teacher, b = Net(0), Net(1), batch()
    on, off = ([x.item() for x in m.loss(net, teacher, b, settings(loss))] for m in (dopsd, off_policy))
    assert off[0] == on[0] and all(abs(x - y) > 1e-4 * x for x, y in zip(on[1:], off[1:], strict=True))
    same = replace(b, teacher_context=b.student_context)
    assert [x.item() for x in off_policy.loss(net, net, same, settings(loss))] == [0.0] * 4


def test_off_policy_teaches_the_student_alone():
    net, teacher = Net(0), Net(1)
    for loss in off_policy.loss(net, teacher, batch(), settings("x0")):
        loss.backward()
    assert all(p.grad is None for p in teacher.parameters()) and all(g.abs().sum() > 0 for g in gradients(net))


def test_sft_on_several_states_is_the_mean_over_them_and_the_first_is_that_of_one():
    net, b = Net(), replace(batch(), more=further(3))
    losses = list(sft.loss(net, None, b, sft.Settings(states=4)))
    pairs = [(b.noise, b.times), *b.more]
    each = [list(sft.loss(net, None, replace(b, noise=e, times=t, more=()), sft.Settings(states=1))) for e, t in pairs]
    assert [len(x) for x in each] == [1] * 4 and len({x.item() for (x,) in each}) == 4
    assert torch.equal(4 * losses[0], each[0][0])
    assert torch.allclose(sum(losses), sum(x for (x,) in each) / 4)


def test_sft_on_the_teachers_samples_regresses_on_what_it_drew_from_other_noise():
    b, drawn, seen = replace(batch(), more=further(1)), torch.full((3, 2, 4, 4), 0.7), []

    def teacher(x, t, context):
        assert context is b.teacher_context and not torch.is_grad_enabled()
        if t[0] == 0:
            assert torch.equal(x, b.noise)
        return (drawn - x) / (1 - t[:, None, None, None])  # straight to a known picture

    ((noise, times),) = b.more

    def student(x, t, context):
        seen.append((x, t, context))
        return drawn - noise  # the velocity that leads from the other noise to what was drawn

    (loss,) = sft_teacher.loss(student, teacher, b, sft_teacher.Settings(rollout_steps=4))
    assert loss.item() == pytest.approx(0, abs=1e-10)
    ((x, t, context),) = seen
    at = times[:, None, None, None]
    assert torch.allclose(x, (1 - at) * noise + at * drawn, atol=1e-6) and t is times and context is b.student_context
    (wrong,) = sft_teacher.loss(lambda *_: b.latents - noise, teacher, b, sft_teacher.Settings(rollout_steps=4))
    assert wrong.item() == pytest.approx(((b.latents - drawn) ** 2).mean().item(), rel=1e-5)


def test_sft_on_its_own_states_is_nothing_where_each_leads_straight_to_the_data():
    b, seen = batch(), []

    def straight(x, t, context):
        seen.append((x, t, context))
        return (b.latents - x) / (1 - t[:, None, None, None])

    how = sft_on_policy.Settings(rollout_steps=4)
    assert [x.item() for x in sft_on_policy.loss(straight, None, b, how)] == pytest.approx([0.0] * 4, abs=1e-10)
    assert torch.equal(seen[0][0], b.noise) and [t[0].item() for _, t, _ in seen] == GRID[:-1].tolist()
    assert all(context is b.student_context for _, _, context in seen)
    still = list(sft_on_policy.loss(lambda x, t, c: torch.zeros_like(x), None, b, how))  # it stays at the noise
    assert [x.item() for x in still] == pytest.approx([((b.noise - b.latents) ** 2).mean().item() / 4] * 4, rel=1e-5)


def test_mu_weights_a_state_by_the_square_of_its_step_and_equal_steps_alike():
    net, teacher, b = Net(0), Net(1), batch()
    plain, mu = (torch.stack(list(m.loss(net, teacher, b, settings("velocity")))) for m in (dopsd, dopsd_mu))
    steps = GRID.diff() ** 2
    assert torch.allclose(mu, 4 * plain * steps / steps.sum(), rtol=1e-5)
    even = replace(b, grid=torch.linspace(0, 1, 5))
    one, other = (torch.stack(list(m.loss(net, teacher, even, settings("velocity")))) for m in (dopsd, dopsd_mu))
    assert torch.allclose(one, other, rtol=1e-5)


def test_no_gradient_reaches_the_teacher_that_draws():
    net, teacher, b = Net(0), Net(1), replace(batch(), more=further(1))
    for loss in sft_teacher.loss(net, teacher, b, sft_teacher.Settings(rollout_steps=4)):
        loss.backward()
    assert all(p.grad is None for p in teacher.parameters()) and all(g.abs().sum() > 0 for g in gradients(net))


def test_what_the_methods_need():
    def needs(name, **changes):
        return tiny.method(name, **changes).needs

    assert needs("sft", states=4) == Needs(forwards=12, states=4)
    assert needs("sft_teacher") == Needs(forwards=6, seen=True, teacher="frozen", rollout_steps=3, states=2)
    assert needs("off_policy") == needs("dopsd")
    assert needs("dopsd", shown="another") == replace(needs("dopsd"), another=True)
    assert not needs("dopsd").another and needs("dopsd").forwards == 12


@pytest.mark.parametrize("name", objectives.names())
def test_what_a_method_says_that_it_costs_is_what_it_does(name):
    """A forward pass of one, a backward pass of two: whoever trains at equal cost counts on it."""
    method, net, done = tiny.method(name), Net(), []
    needs = method.needs

    def field(x, t, context):
        done.append(3 if torch.is_grad_enabled() else 1)
        return net(x, t, context)

    b = replace(batch(), grid=torch.linspace(0, 1, needs.rollout_steps + 1), more=further(needs.states - 1))
    asked, words = prepared.of(method) or Preparation(), list(torch.randn(4, 5, 6))
    pictures = torch.randn(4, 2, 4, 4) if asked.pictures and not asked.adapter else None
    given = Prepared(pictures, words[0], words if asked.prompts else [], field if asked.untouched else None)
    for loss in prepared.ready(method, given).loss(field, field, b):
        loss.backward()
    assert sum(done) == needs.forwards


ENTRIES = {
    "sft": {"states": 1},
    "equal": {"like": "sft", "label": "Equal", "train": {"steps": 7}},
    "more": {"like": "equal", "states": 4},
    "plain": {"like": "sft"},
    "a": {"like": "b"},
    "b": {"like": "a"},
    "lost": {"like": "sfd"},
    "magic": {"states": 1},
    "sfr": {"states": 1},
}


def test_an_entry_is_like_another_but_for_what_it_says_and_its_label():
    equal, more, plain, own = (objectives.method(n, ENTRIES, "p.yaml") for n in ("equal", "more", "plain", "sft"))
    assert [m.kind for m in (equal, more, plain)] == ["sft"] * 3 and [m.name for m in (equal, more)] == [
        "equal",
        "more",
    ]
    assert equal.settings == own.settings and equal.train == {"steps": 7} and equal.label == "Equal"
    assert more.settings.states == 4 and more.train == {"steps": 7} and more.label == "more"
    assert (plain.label, plain.train) == ("plain", {}) and (own.label, own.train) == ("SFT", {})
    assert more.needs == Needs(forwards=12, states=4)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a", r"p\.yaml: methods\.b\.like: a -> b -> a goes round; name an entry that stands for itself"),
        ("lost", r"p\.yaml: methods\.lost\.like: 'sfd' is no entry of methods; did you mean 'sft'\?"),
        ("magic", r"p\.yaml: methods\.magic: no such method"),
        ("sfr", r"p\.yaml: methods\.sfr: no such method; did you mean 'sft'\?$"),
    ],
)
def test_an_entry_that_stands_for_nothing_is_named(name, said):
    with pytest.raises(UserError, match=said):
        objectives.method(name, ENTRIES, "p.yaml")


def test_an_entry_named_like_its_method_may_have_a_label_of_its_own():
    assert objectives.method("sft", {"sft": {"states": 1, "label": "Plain"}}, "p.yaml").label == "Plain"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"like": ["sft"]}, r"methods\.x\.like: \['sft'\] is not a text"),
        ({"like": "sft", "label": 3}, r"methods\.x\.label: 3 is not a text"),
        ({"like": "sft", "train": 3}, r"methods\.x\.train: 3 is not a mapping of fields"),
    ],
)
def test_what_an_entry_says_of_itself_is_of_its_kind(entry, said):
    with pytest.raises(UserError, match=rf"p\.yaml: {said}"):
        objectives.method("x", ENTRIES | {"x": entry}, "p.yaml")


def test_a_wrong_setting_of_an_entry_is_said_under_its_own_name():
    with pytest.raises(UserError, match=r"p\.yaml: methods\.more\.states: .*integer"):
        objectives.method("more", ENTRIES | {"more": {"like": "sft", "states": "x"}}, "p.yaml")


@pytest.mark.parametrize(
    ("name", "entry", "field"),
    [
        ("x", {"like": ["sft"]}, "methods.x.like"),
        ("x", {"like": "sft", "label": 3}, "methods.x.label"),
        ("x", {"like": "sft", "train": 3}, "methods.x.train"),
        ("x", {"like": "sfd"}, "methods.x.like"),
        ("a", {}, "methods.b.like"),
        ("x", {"like": "magic"}, "methods.magic"),
        ("x", {"like": "sft", "states": 0}, "methods.x.states"),
    ],
)
def test_of_several_files_the_one_is_named_that_says_the_field(name, entry, field):
    with pytest.raises(UserError) as raised:
        objectives.method(name, ENTRIES | {"x": entry}, lambda *path: f"the file of {'.'.join(path)}")
    assert str(raised.value).startswith(f"the file of {field}: {field}: ")


@pytest.mark.parametrize("method", [dopsd, dopsd_mu, off_policy])
def test_a_field_is_asked_where_the_batch_is_though_its_grid_is_elsewhere(method):
    b, asked = batch(), []
    there = replace(b, **{k: getattr(b, k).to("meta") for k in ("latents", "noise", "times")})

    def field(x, t, context):
        asked.append((x.device.type, t.device.type))
        return x

    for loss in method.loss(field, field, there, settings("velocity")):
        assert loss.device.type == "meta"
    assert asked == [("meta", "meta")] * 8
