"""The contract, on the miniature and on a tiny random Z-Image of another shape saved to and loaded from disk."""

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from transformers import AutoTokenizer, Qwen3Config, Qwen3Model

from dopsd import backbones
from dopsd.errors import UserError
from dopsd.pictures import from_pil, to_pil
from dopsd.rollout import sample


@pytest.fixture(scope="module")
def random_settings(settings, tmp_path_factory):
    """A pipeline of the same classes with random weights and other widths."""
    folder = tmp_path_factory.mktemp("random-z-image")
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(f"{settings.model}/tokenizer")
    encoder = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16,
    )  # fmt: skip
    ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0),
        vae=AutoencoderKL(
            block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4, norm_num_groups=4, layers_per_block=1,
            scaling_factor=0.7, shift_factor=0.1,
        ),
        text_encoder=Qwen3Model(encoder),
        tokenizer=tokenizer,
        transformer=ZImageTransformer2DModel(
            in_channels=4, dim=32, n_layers=2, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=32,
            axes_dims=[4, 6, 6], axes_lens=[128, 64, 64],
        ),
    ).save_pretrained(folder)  # fmt: skip
    return settings.model_copy(update={"model": str(folder)})


@pytest.fixture(params=["miniature", "random"])
def any_backbone(request, settings, random_settings):
    return backbones.load(settings if request.param == "miniature" else random_settings)


def noise_like(backbone, n=2, size=64):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, *backbone.latent_shape(size, size), generator=generator)


PROMPTS = ["a red disc on sand , photo style", "please draw a [V]"]


@pytest.mark.parametrize("steps", [1, 4, 8])
def test_our_rollout_draws_what_the_pipeline_draws(any_backbone, steps):
    noise = noise_like(any_backbone)
    context = any_backbone.context(PROMPTS)
    grid = any_backbone.step_grid(steps, noise.shape[-2:])
    ours = any_backbone.decode(sample(lambda x, t: any_backbone.velocity(x, t, context), noise, grid))
    pipeline = ZImagePipeline.from_pretrained(any_backbone.settings.model, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    size = {"height": 64 if ours.shape[-1] == 64 else ours.shape[-2], "width": ours.shape[-1]}
    options = {"num_inference_steps": steps, "guidance_scale": 0.0, "latents": noise, "output_type": "pt", **size}
    if pipeline.vae_scale_factor * noise.shape[-1] != size["width"]:
        pytest.fail("the test's size and the pipeline's differ")
    theirs = pipeline(PROMPTS, **options).images
    assert torch.allclose(ours / 2 + 0.5, theirs, atol=2e-4)


def test_contexts_are_what_the_pipeline_reads(any_backbone):
    pipeline = ZImagePipeline.from_pretrained(any_backbone.settings.model, torch_dtype=torch.float32)
    theirs, _ = pipeline.encode_prompt(list(PROMPTS), do_classifier_free_guidance=False)
    for a, b in zip(any_backbone.context(PROMPTS), theirs, strict=True):
        assert a.shape == b.shape and torch.allclose(a, b, atol=1e-4)


def test_encode_and_decode_are_inverse_up_to_the_autoencoders_error(backbone, concept_set):
    from dopsd.concepts import read_set

    image = from_pil(read_set(concept_set)[0].image())[None]
    latents = backbone.encode(image)
    assert latents.shape[1:] == backbone.latent_shape(64, 64)
    assert (backbone.decode(latents) - image).abs().mean() < 0.05


def test_the_teachers_context_sees_the_picture(backbone):
    generator = np.random.default_rng(0)
    a, b = (to_pil(torch.from_numpy(generator.uniform(-1, 1, (3, 64, 64)).astype(np.float32))) for _ in range(2))
    one, other = (backbone.context(["a [V]"], [image])[0] for image in (a, b))
    text = backbone.context(["a [V]"])[0]
    assert one.shape == other.shape and one.shape[0] == text.shape[0] + 18  # 16 image tokens and their two marks
    assert not torch.allclose(one, other, atol=1e-2)
    assert torch.allclose(one[:3], text[:3], atol=1e-4)  # before the picture both read the same
    assert not torch.equal(backbone.context(["a [V]"], [a], layer=-3)[0], one)


def test_the_vlms_language_model_is_overwritten_by_the_pipelines(backbone):
    _, vlm = backbone.vlm
    own = backbone.text[1].state_dict()
    assert all(torch.equal(v, own[k]) for k, v in vlm.model.language_model.state_dict().items())


def test_a_vlm_of_another_shape_is_one_clear_error(random_settings):
    with pytest.raises(UserError, match="its language model does not fit the text encoder"):
        backbones.load(random_settings).context(["a"], [to_pil(torch.zeros(3, 64, 64))])


def test_a_missing_model_is_one_clear_error(settings, tmp_path):
    with pytest.raises(UserError, match=r"models/no-such/transformer: .*restore it from git"):
        backbones.load(settings.model_copy(update={"model": "models/no-such"}))
    with pytest.raises(UserError, match=r"cannot open the transformer .* under backbone in params\.yaml"):
        backbones.load(settings.model_copy(update={"model": str(tmp_path)}))


def test_a_picture_with_too_many_tokens_is_one_clear_error(settings):
    backbone = backbones.load(settings.model_copy(update={"teacher_tokens": 20}))
    with pytest.raises(UserError, match=r"more than backbone\.teacher_tokens"):
        backbone.context(["a [V]"], [to_pil(torch.zeros(3, 64, 64))])


def test_a_size_that_the_model_cannot_draw_is_an_error(any_backbone):
    with pytest.raises(ValueError, match="multiples of"):
        any_backbone.latent_shape(65, 64)


def test_a_saved_adapter_opens_in_the_pipeline_and_draws_the_same(backbone, train_settings, tmp_path):
    from dopsd import lora
    from dopsd.train import save_adapter

    for p in lora.add(backbone.transformer, lora.STUDENT, train_settings, seed=0):
        p.data += 0.02 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1))
    save_adapter(backbone, tmp_path / "step")
    noise, context = noise_like(backbone), backbone.context(PROMPTS)
    grid = backbone.step_grid(4, noise.shape[-2:])
    ours = backbone.decode(sample(lambda x, t: backbone.velocity(x, t, context), noise, grid))
    pipeline = ZImagePipeline.from_pretrained(backbone.settings.model, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_lora_weights(tmp_path / "step")
    options = {"num_inference_steps": 4, "guidance_scale": 0.0, "latents": noise, "output_type": "pt"}
    theirs = pipeline(PROMPTS, height=64, width=64, **options).images
    assert torch.allclose(ours / 2 + 0.5, theirs, atol=2e-4)
