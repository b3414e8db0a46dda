"""Z-Image's own: the autoencoder of the miniature, the VLM around the text encoder, errors."""

import numpy as np
import pytest
import torch

from dopsd import backbones
from dopsd.support.errors import UserError
from dopsd.support.pictures import from_pil, to_pil


def test_encode_and_decode_are_inverse_up_to_the_autoencoders_error(backbone, concept_set):
    from dopsd.sets.jsonl import read_set

    image = from_pil(read_set(concept_set)[0].image())[None]
    latents = backbone.encode(image)
    assert latents.shape[1:] == backbone.latent_shape(64, 64)
    assert (backbone.decode(latents) - image).abs().mean() < 0.05


def test_the_teachers_context_sees_the_picture(backbone):
    generator = np.random.default_rng(0)
    a, b = (to_pil(torch.from_numpy(generator.uniform(-1, 1, (3, 64, 64)).astype(np.float32))) for _ in range(2))
    one, other = (backbone.context(["a [V]"], [image])[0] for image in (a, b))
    text = backbone.context(["a [V]"])[0]
    one, other, text = one.features, other.features, text.features
    assert one.shape == other.shape and one.shape[0] == text.shape[0] + 18  # 16 image tokens and their two marks
    assert not torch.allclose(one, other, atol=1e-2)
    assert torch.allclose(one[:3], text[:3], atol=1e-4)  # before the picture both read the same
    assert not torch.equal(backbone.context(["a [V]"], [a], layer=-3)[0].features, one)


def test_the_vlms_language_model_is_overwritten_by_the_pipelines(backbone):
    _, vlm = backbone.vlm
    own = backbone.text[1].state_dict()
    assert all(torch.equal(v, own[k]) for k, v in vlm.model.language_model.state_dict().items())
    # and they are held once: a small GPU has no room for two
    assert all(v.data_ptr() == own[k].data_ptr() for k, v in vlm.model.language_model.state_dict().items())


def test_a_vlm_of_another_shape_is_one_clear_error(all_settings):
    wrong = all_settings["zimage"].model_copy(update={"vlm": all_settings["miniature"].vlm})
    with pytest.raises(UserError, match="its language model does not fit the text encoder"):
        backbones.load(wrong).context(["a"], [to_pil(torch.zeros(3, 64, 64))])


def test_a_missing_model_is_one_clear_error(settings, tmp_path):
    with pytest.raises(UserError, match=r"models/no-such/transformer: .*restore it from git"):
        backbones.load(settings.model_copy(update={"model": "models/no-such"}))
    with pytest.raises(UserError, match=r"no folder transformer in it, so no pipeline"):
        backbones.load(settings.model_copy(update={"model": str(tmp_path)}))


def test_a_picture_with_too_many_tokens_is_one_clear_error(settings):
    backbone = backbones.load(settings.model_copy(update={"teacher_tokens": 20}))
    with pytest.raises(UserError, match=r"more than backbone\.teacher_tokens"):
        backbone.context(["a [V]"], [to_pil(torch.zeros(3, 64, 64))])


def test_eased_attention_is_diffusers_own(backbone):
    x, t, context = (
        torch.randn(2, 8, 16, 16),
        torch.full((2,), 0.25),
        backbone.context(["a [V]", "a red disc in the snow"]),
    )
    before = backbone.velocity(x, t, context)
    backbone.ease(backbone.transformer)
    assert torch.allclose(backbone.velocity(x, t, context), before, atol=1e-6)
