"""Krea 2: its text encoder sees, and the pipeline's own index says how it is read."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from backbones.test_contract import PROMPTS, SIZE, drawn, noise_like, opened, pictures, theirs
from torch.nn.functional import pixel_shuffle

from dopsd import backbones
from dopsd.support.errors import UserError


@pytest.fixture
def krea(all_settings):
    return backbones.load(all_settings["krea"])


def test_the_teacher_is_the_students_own_encoder_with_the_picture_before_the_prompt(krea):
    """The same turn as Qwen's chat template writes it, the same tapped layers, and the system prompt left out."""
    (picture,), prompt = pictures(1), "a [V] on sand"
    processor, encoder = krea.vlm
    assert encoder is krea.text[1]
    own = opened(krea)
    system = own.prompt_template_encode_prefix.split("system\n")[1].split("<|im_end|>")[0]
    seen = [{"type": "image", "image": picture}, {"type": "text", "text": prompt}]
    turns = [{"role": "system", "content": system}, {"role": "user", "content": seen}]
    options = {"tokenize": True, "return_dict": True, "return_tensors": "pt"}
    inputs = processor.apply_chat_template(turns, add_generation_prompt=True, **options)
    with torch.no_grad():
        states = own.text_encoder(**inputs, output_hidden_states=True).hidden_states
    wanted = torch.stack([states[i] for i in (1, 2, 4)], 2)[0, 34:].flatten(1)
    (teacher,), (student,) = krea.context([prompt], [picture]), krea.context([prompt])
    assert torch.allclose(teacher.features, wanted, atol=1e-5)
    # of 64 x 64 pixels: 8 x 8 patches, merged 2 x 2, between two marks
    assert len(teacher.features) == len(student.features) + 2 + 16 and student.features.shape[1] == 3 * 32
    assert krea.teacher_reads(prompt, (SIZE, SIZE)).tokens == inputs["input_ids"].shape[1]


def test_the_system_prompt_is_skipped_and_the_turns_end_is_read(krea):
    assert [len(c.features) for c in krea.context(["", "abcd"])] == [5, 9]
    assert [krea.reads(p).tokens for p in ("", "abcd")] == [5, 9]


def test_a_prompt_that_is_cut_draws_what_the_pipeline_draws(all_settings):
    """The end of the turn stands after the cut."""
    short = backbones.load(all_settings["krea"].model_copy(update={"student_tokens": 12}))
    noise, prompts = noise_like(short), ["abcdefghijklmnop", "qr"]
    ours = drawn(short, 4, short.context(prompts), noise)
    assert torch.allclose(ours, theirs(short, opened(short), 4, noise, prompts), atol=2e-4)
    assert short.reads("abcdefghijklmnop").kept == "abcdefg" and short.reads("qr").kept == "qr"


def test_a_picture_that_is_not_square_draws_what_the_pipeline_draws(krea):
    own, shape = opened(krea), krea.latent_shape(64, 96)
    noise = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    packed = noise.flatten(2).transpose(1, 2)
    options = {"num_inference_steps": 2, "guidance_scale": 0.0, "latents": packed, "height": 64, "width": 96}
    images = own("a disc", output_type="pt", **options).images
    assert shape == (16, 16, 24) and images.shape == (1, 3, 64, 96)
    assert torch.allclose(drawn(krea, 2, krea.context(["a disc"]), noise), images, atol=2e-4)


def test_latents_are_what_the_pipeline_decodes(krea):
    own, images = opened(krea), torch.rand(1, 3, SIZE, SIZE) * 2 - 1
    config = own.vae.config
    mean, deviation = (torch.tensor(x).view(1, -1, 1, 1, 1) for x in (config.latents_mean, config.latents_std))
    clean = ((own.vae.encode(images[:, :, None]).latent_dist.mode() - mean) / deviation).squeeze(2)
    latents = krea.encode(images)
    assert torch.allclose(pixel_shuffle(latents, 2), clean, atol=1e-5)
    height, width = clean.shape[-2:]
    packed = own._pack_latents(clean, 1, 4, height, width)
    assert torch.allclose(latents.flatten(2).transpose(1, 2), packed, atol=1e-5)


@pytest.mark.parametrize("size", [64, 128])
def test_the_grid_has_the_pipelines_fixed_shift(krea, size):
    own = opened(krea)
    own("a disc", height=size, width=size, num_inference_steps=4, guidance_scale=0.0, output_type="latent")
    assert torch.allclose(krea.step_grid(4, (size // 4, size // 4)), 1 - own.scheduler.sigmas, atol=1e-6)


def test_the_picture_moves_what_is_drawn_and_so_does_the_prompt(krea):
    """With random weights: by far more than what the drawings are compared by."""
    noise = noise_like(krea)
    contexts = krea.context(PROMPTS), krea.context(PROMPTS[::-1]), krea.context(PROMPTS, pictures())
    one, other, seen = (drawn(krea, 4, c, noise) for c in contexts)
    assert (one - other).abs().max() > 0.01 and (one - seen).abs().max() > 0.01


def changed(settings, folder: Path, file: str, **said):
    """The settings with a copy of the model, in which a JSON file says something else."""
    shutil.copytree(settings.model, folder)
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | said))
    return settings.model_copy(update={"model": str(folder)})


WRONG = {
    "an undistilled model": ({"is_distilled": False}, r"is_distilled is not true.*krea/Krea-2-Turbo"),
    "too few layers": ({"text_encoder_select_layers": [1, 2]}, r"names 2 layers .* its transformer reads 3"),
    "a layer too deep": ({"text_encoder_select_layers": [1, 2, 9]}, r"names layer 9 of a text encoder of 4"),
}


@pytest.mark.parametrize("what", WRONG)
def test_an_index_that_does_not_fit_is_one_clear_error(what, all_settings, tmp_path):
    said, says = WRONG[what]
    with pytest.raises(UserError, match=says):
        backbones.load(changed(all_settings["krea"], tmp_path / "m", "model_index.json", **said)).context(["a"])


def test_a_processor_of_another_model_is_one_clear_error(all_settings):
    settings = all_settings["krea"].model_copy(update={"vlm": all_settings["zimage"].vlm})
    with pytest.raises(UserError, match=r"backbone\.vlm .*: its processor cuts pictures or words in another way"):
        backbones.load(settings).context(["a"], pictures(1))


def test_a_picture_with_a_prompt_that_is_too_long_and_a_layer_are_clear_errors(all_settings):
    short = backbones.load(all_settings["krea"].model_copy(update={"teacher_tokens": 40}))
    with pytest.raises(UserError, match=r"more than backbone\.teacher_tokens 40"):
        short.context(["a"], pictures(1))
    with pytest.raises(UserError, match=r"leave probe\.layers empty"):
        short.context(["a"], layer=-2)
