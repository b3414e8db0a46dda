"""FLUX.2-klein's edit branch."""

import pytest
import torch
from backbones.test_contract import SIZE, drawn, noise_like, opened, pictures, theirs

from dopsd import backbones
from dopsd.support.errors import UserError


@pytest.fixture
def klein(all_settings):
    return backbones.load(all_settings["klein"])


def test_references_draw_what_the_pipeline_draws(klein):
    """The pipeline sees the same pictures in the same order: the edit branch of student and teacher."""
    (one, other), noise, prompts = pictures(), noise_like(klein, 1), ["a red disc"]
    edit = drawn(klein, 4, klein.context(prompts, references=[[one, other]]), noise)
    assert torch.allclose(edit, theirs(klein, opened(klein), 4, noise, prompts, image=[one, other]), atol=2e-4)
    teacher = drawn(klein, 4, klein.context(prompts, [other], references=[[one]]), noise)
    told = [klein.settings.edit_instruction.format(prompt=prompts[0])]
    assert torch.allclose(teacher, theirs(klein, opened(klein), 4, noise, told, image=[one, other]), atol=2e-4)


def test_the_identity_teacher_is_told_to_keep_the_subject(klein):
    (one,), noise = pictures(1), noise_like(klein, 1)
    told = [klein.settings.identity_instruction.format(prompt="a [V]")]
    teacher = drawn(klein, 2, klein.context(["a [V]"], [one]), noise)
    assert torch.allclose(teacher, theirs(klein, opened(klein), 2, noise, told, image=[one]), atol=2e-4)


def test_references_of_different_sizes_are_drawn_one_by_one(klein):
    big, small = pictures(1)[0], pictures(1)[0].resize((32, 32))
    noise, t = noise_like(klein), torch.tensor([0.0, 0.5])
    context = klein.context(["a disc"] * 2, references=[[big], [small]])
    assert context[0].references[0].shape != context[1].references[0].shape
    both = klein.velocity(noise, t, context)
    assert torch.allclose(both[1:], klein.velocity(noise[1:], t[1:], context[1:]), atol=1e-5)


def test_the_grid_follows_the_pipelines_empirical_mu(klein):
    pipeline, sigmas = opened(klein), []
    pipeline(
        prompt="a disc", height=SIZE, width=SIZE, num_inference_steps=4, guidance_scale=0.0, output_type="latent",
        max_sequence_length=96, text_encoder_out_layers=(1, 2, 3),
    )  # fmt: skip
    sigmas = pipeline.scheduler.sigmas
    assert torch.allclose(klein.step_grid(4, (16, 16)), 1 - sigmas, atol=1e-6)
    assert not torch.allclose(klein.step_grid(4, (64, 64)), 1 - sigmas, atol=1e-3)


def test_layers_that_the_encoder_does_not_have_are_one_clear_error(all_settings):
    wrong = backbones.load(all_settings["klein"].model_copy(update={"text_layers": (9, 18, 27)}))
    with pytest.raises(UserError, match=r"backbone\.text_layers .* an encoder of 4 layers"):
        wrong.context(["a"])
