"""What training, roll-out and evaluation may expect of any backbone."""

import pytest
import tiny
import torch

from dopsd import backbones
from dopsd.method.rollout import sample
from dopsd.objectives import Batch
from dopsd.support.errors import UserError
from dopsd.support.pictures import to_pil
from dopsd.training.loop import Training
from dopsd.training.results import save_weights
from dopsd.training.weights import WHOLE, begin, put

PROMPTS = ["a red disc on sand , photo style", "please draw a [V]"]
SIZE = 64


def noise_like(backbone, n=2):
    return torch.randn(n, *backbone.latent_shape(SIZE, SIZE), generator=torch.Generator().manual_seed(0))


def pictures(n=2):
    generator = torch.Generator().manual_seed(3)
    return [to_pil(torch.rand(3, SIZE, SIZE, generator=generator) * 2 - 1) for _ in range(n)]


def drawn(backbone, steps, context, noise):
    grid = backbone.step_grid(steps, noise.shape[-2:])
    return backbone.decode(sample(lambda x, t: backbone.velocity(x, t, context), noise, grid)) / 2 + 0.5


def opened(backbone):
    """The diffusers pipeline itself."""
    pipeline = backbone.pipeline.from_pretrained(backbone.settings.model, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def theirs(backbone, pipeline, steps, noise, prompts=PROMPTS, **options):
    if backbone.settings.name == "klein":
        layers = tuple(backbone.settings.text_layers)
        options |= {"max_sequence_length": backbone.settings.student_tokens, "text_encoder_out_layers": layers}
    if backbone.settings.name == "krea":
        noise, options["max_sequence_length"] = noise.flatten(2).transpose(1, 2), backbone.settings.student_tokens
    options |= {"num_inference_steps": steps, "latents": noise, "output_type": "pt", "height": SIZE, "width": SIZE}
    return pipeline(prompt=list(prompts), guidance_scale=0.0, **options).images


@pytest.mark.parametrize("steps", [1, 4, 8])
def test_our_rollout_draws_what_the_pipeline_draws(any_backbone, steps):
    noise = noise_like(any_backbone)
    ours = drawn(any_backbone, steps, any_backbone.context(PROMPTS), noise)
    assert ours.shape == (2, 3, SIZE, SIZE)
    assert torch.allclose(ours, theirs(any_backbone, opened(any_backbone), steps, noise), atol=2e-4)


def test_contexts_are_what_the_pipeline_reads(any_backbone):
    pipeline, options = opened(any_backbone), {"do_classifier_free_guidance": False}
    if any_backbone.settings.name == "klein":
        layers = tuple(any_backbone.settings.text_layers)
        options = {"max_sequence_length": any_backbone.settings.student_tokens, "text_encoder_out_layers": layers}
    if any_backbone.settings.name == "krea":  # a token's layers side by side, and no padding
        options = {"max_sequence_length": any_backbone.settings.student_tokens}
        read = [f[m].flatten(1) for f, m in zip(*pipeline.encode_prompt(list(PROMPTS), **options), strict=True)]
    else:
        read = pipeline.encode_prompt(list(PROMPTS), **options)[0]
    for a, b in zip(any_backbone.context(PROMPTS), read, strict=True):
        assert a.features.shape == b.shape and not a.references
        assert torch.allclose(a.features, b, atol=1e-4)


def test_the_teachers_context_sees_the_picture(any_backbone):
    noise, t = noise_like(any_backbone, 1), torch.tensor([0.0])
    one, other = pictures(2)

    def v(context):
        return any_backbone.velocity(noise, t, context)

    seen = v(any_backbone.context(["a [V]"], [one]))
    assert seen.shape == noise.shape and seen.dtype == torch.float32
    assert torch.equal(v(any_backbone.context(["a [V]"], [one])), seen)
    assert not torch.allclose(v(any_backbone.context(["a [V]"], [other])), seen, atol=1e-5)
    assert not torch.allclose(v(any_backbone.context(["a [V]"])), seen, atol=1e-5)


def test_a_constant_field_leads_to_the_known_answer(any_backbone, monkeypatch):
    """v = c takes noise e to e + c, whatever the grid: sign and direction of time."""
    noise, c = noise_like(any_backbone), 0.7
    monkeypatch.setattr(any_backbone, "velocity", lambda x, t, context: torch.full_like(x, c))
    for steps in (1, 4):
        grid = any_backbone.step_grid(steps, noise.shape[-2:])
        assert grid[0] == 0 and grid[-1] == 1 and (grid.diff() > 0).all()
        end = sample(lambda x, t: any_backbone.velocity(x, t, None), noise, grid)
        assert torch.allclose(end, noise + c, atol=1e-5)


def test_random_times_are_in_range_and_lean_to_noise(any_backbone):
    times = any_backbone.random_times(4000, (4, 4), torch.Generator().manual_seed(0))
    assert times.shape == (4000,) and times.min() >= 0 and times.max() < 1 and times.mean() < 0.5


def test_encode_and_decode_have_the_promised_shapes_and_ranges(any_backbone):
    images = torch.rand(2, 3, SIZE, SIZE) * 2 - 1
    latents = any_backbone.encode(images)
    assert latents.shape[1:] == any_backbone.latent_shape(SIZE, SIZE)
    back = any_backbone.decode(latents)
    assert back.shape == images.shape and back.abs().max() <= 1


def test_a_size_that_the_model_cannot_draw_is_an_error(any_backbone):
    with pytest.raises(ValueError, match="multiples of"):
        any_backbone.latent_shape(65, 64)


def test_equal_contexts_and_weights_give_a_loss_of_zero(any_backbone):
    """u_s = u_t: nothing to learn. With another context the loss is above zero."""
    noise = noise_like(any_backbone)
    text, seen = any_backbone.context(PROMPTS), any_backbone.context(PROMPTS, pictures())
    grid = any_backbone.step_grid(3, noise.shape[-2:])

    def loss(context):
        batch = Batch(noise, noise, torch.zeros(2), text, context, grid)
        field = any_backbone.velocity
        return sum(float(x) for x in tiny.method("dopsd").loss(field, field, batch))

    assert loss(text) == 0.0
    assert loss(seen) > 0


def test_samples_of_a_batch_do_not_mix(any_backbone):
    noise, t = noise_like(any_backbone), torch.tensor([0.1, 0.6])
    context = [*any_backbone.context(PROMPTS[:1]), *any_backbone.context(PROMPTS[1:], pictures(1))]
    both = any_backbone.velocity(noise, t, context)
    for i in range(2):
        alone = any_backbone.velocity(noise[i : i + 1], t[i : i + 1], context[i : i + 1])
        assert torch.allclose(both[i : i + 1], alone, atol=1e-4)


def test_freed_encoders_are_loaded_again_when_asked(any_backbone):
    before = any_backbone.context(PROMPTS, pictures())
    any_backbone.free_encoders()
    for a, b in zip(before, any_backbone.context(PROMPTS, pictures()), strict=True):
        assert torch.equal(a.features, b.features)


@pytest.mark.parametrize("kind", ["miniature", "zimage", "krea"])
def test_who_has_no_edit_branch_reads_no_reference_pictures(kind, all_settings):
    with pytest.raises(UserError, match="choose klein for the editing task"):
        backbones.load(all_settings[kind]).context(["a"], references=[pictures(1)])


TUNE = pytest.mark.parametrize("tune", ["lora", "full"])
TARGETS = {
    "klein": ("to_q", "to_k", "to_v", "to_out.0", "to_qkv_mlp_proj", "linear_in"),
    "krea": ("to_q", "to_k", "to_v", "to_gate", "to_out.0", "ff.gate", "ff.up", "ff.down"),
}


@pytest.fixture
def options(any_settings, train_settings):
    return train_settings.model_copy(
        update={"lora_targets": TARGETS.get(any_settings.name, train_settings.lora_targets)}
    )


@TUNE
def test_saved_weights_open_in_the_pipeline_and_draw_the_same(any_backbone, options, tune, tmp_path):
    weights = begin(any_backbone, options.model_copy(update={"tune": tune}), seed=0)
    generator = torch.Generator().manual_seed(1)
    for p in weights.parameters:
        p.data += 0.02 * torch.randn(p.shape, generator=generator)
    save_weights(weights, tmp_path / "step")
    noise, context = noise_like(any_backbone), any_backbone.context(PROMPTS)
    with torch.no_grad():
        ours = drawn(any_backbone, 4, context, noise)
    untouched = backbones.load(any_backbone.settings)
    assert not torch.allclose(drawn(untouched, 4, context, noise), ours, atol=1e-3)
    put(untouched, tmp_path / "step")
    assert torch.allclose(drawn(untouched, 4, context, noise), ours, atol=2e-4)
    pipeline = opened(any_backbone)
    if tune == "lora":
        pipeline.load_lora_weights(tmp_path / "step")
    else:
        pipeline.transformer = type(pipeline.transformer).from_pretrained(tmp_path / "step" / WHOLE)
    assert torch.allclose(ours, theirs(any_backbone, pipeline, 4, noise), atol=2e-4)


@TUNE
@pytest.mark.parametrize("method", ["sft", "dopsd"])
def test_a_step_of_training_moves_the_student_and_leaves_a_frozen_teacher(any_backbone, options, tune, method):
    options = options.model_copy(update={"tune": tune})
    noise = noise_like(any_backbone)
    contexts = any_backbone.context(PROMPTS), any_backbone.context(PROMPTS, pictures())
    grid = any_backbone.step_grid(3, noise.shape[-2:])
    batch = Batch(torch.zeros_like(noise), noise, torch.tensor([0.2, 0.7]), *contexts, grid)
    rate = {"lora": 1e-3, "full": 1e-5}[tune]
    changes = {"teacher": "frozen"} if method == "dopsd" else {}
    training = Training(any_backbone, tiny.method(method, **changes), options, seed=0, learning_rate=rate)
    t = torch.zeros(2)

    def speak():
        with torch.no_grad():
            student = any_backbone.velocity(noise, t, contexts[0])
        return student, training.teach(noise, t, contexts[0]) if training.teacher else None

    before = speak()
    losses = [training.advance([batch])[0] for _ in range(3)]
    after = speak()
    assert losses[0] > 0 and losses[-1] < losses[0]
    assert not torch.equal(before[0], after[0])
    if method == "dopsd":
        assert torch.equal(before[1], after[1])


def test_weights_of_another_model_are_one_clear_error(any_backbone, options, all_settings, tmp_path):
    other = all_settings["zimage" if any_backbone.settings.name == "klein" else "klein"]
    targets = TARGETS.get(other.name, ("to_q",))
    strange = begin(backbones.load(other), options.model_copy(update={"lora_targets": targets}), seed=0)
    save_weights(strange, tmp_path / "step")
    with pytest.raises(UserError, match="does not fit this model"):
        put(any_backbone, tmp_path / "step")
