import pytest
import torch

from dopsd.training.teacher import Teacher
from dopsd.training.weights import begin


def setup(backbone, settings, kind, decay=0.9):
    weights = begin(backbone, settings, seed=0)
    return weights.parameters, Teacher(weights, kind, decay)


TUNE = pytest.mark.parametrize("tune", ["lora", "full"])


@TUNE
@pytest.mark.parametrize("offload", [False, True])
def test_the_ema_follows_the_closed_form_in_float32_under_bf16_weights(settings, train_settings, tune, offload):
    from dopsd import backbones

    backbone = backbones.load(settings.model_copy(update={"dtype": "bfloat16"}))
    assert next(backbone.transformer.parameters()).dtype == torch.bfloat16
    slow = train_settings.model_copy(update={"tune": tune, "offload": offload})
    student, teacher = setup(backbone, slow, "ema", 0.9999)
    assert {p.dtype for p in (*student, *teacher.parameters)} == {torch.float32}
    start = [p.detach().clone() for p in teacher.parameters]
    for p in student:
        p.data += 1.0
    for _ in range(3):
        teacher.update()
    for before, after, target in zip(start, teacher.parameters, student, strict=True):
        expected = 0.9999**3 * before + (1 - 0.9999**3) * target.detach()
        assert torch.allclose(after, expected, atol=1e-6)
        assert not torch.equal(after, before)  # in bf16 a step of 1e-4 would have rounded away


@TUNE
def test_a_new_teacher_is_the_student_and_both_are_the_untouched_model(backbone, train_settings, tune):
    x, t, context = torch.randn(2, 8, 16, 16), torch.full((2,), 0.25), backbone.context(["a [V]", "a red disc"])
    untouched = backbone.velocity(x, t, context)
    _, teacher = setup(backbone, train_settings.model_copy(update={"tune": tune}), "ema")
    assert torch.equal(backbone.velocity(x, t, context), untouched)
    assert torch.equal(teacher(backbone.velocity, x, t, context), untouched)


@TUNE
@pytest.mark.parametrize(("kind", "moves"), [("ema", True), ("frozen", False), ("live", True)])
def test_who_the_teacher_is(backbone, train_settings, tune, kind, moves):
    student, teacher = setup(backbone, train_settings.model_copy(update={"tune": tune}), kind)
    x, t, context = torch.randn(1, 8, 16, 16), torch.full((1,), 0.25), backbone.context(["a [V]"])
    before = teacher(backbone.velocity, x, t, context)
    for p in student:
        p.data += 0.02
    teacher.update()
    after, u_s = teacher(backbone.velocity, x, t, context), backbone.velocity(x, t, context)
    assert torch.equal(before, after) != moves
    assert torch.equal(after, u_s.detach()) == (kind == "live")
    assert not after.requires_grad and u_s.requires_grad  # the student speaks again, with its graph
    assert all(p.requires_grad for p in student)


class Weights:
    """Weights of one student's number, 1, whose teacher's, 0, is kept on a device of its own; notes what it spoke with."""

    def __init__(self, device):
        self.parameters, self.theirs = [torch.nn.Parameter(torch.ones(1))], [torch.zeros(1, device=device)]
        self.spoken = []

    def add_teacher(self):
        return self.theirs

    def refresh(self):
        self.spoken.append(self.theirs[0].clone())


def test_an_average_is_spoken_with_after_every_step_and_stays_where_it_is():
    here, there = Weights("cpu"), Weights("meta")
    for one in (here, there):
        teacher = Teacher(one, "ema", 0.75)
        for _ in range(2):
            teacher.update()
    assert [x.item() for x in here.spoken] == [0.25, 0.4375] and here.parameters[0].item() == 1
    assert [x.device.type for x in there.spoken] == ["meta"] * 2
    still = Weights("cpu")
    Teacher(still, "frozen", 0.75).update()
    assert not still.spoken and not still.theirs[0].any()
