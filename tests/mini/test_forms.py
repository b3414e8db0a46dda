"""The batched forms that train the miniature equal the classes that everybody else opens."""

import random
from pathlib import Path

import pytest
import torch
from diffusers import ZImageTransformer2DModel
from transformers import AutoTokenizer, Qwen3VLForConditionalGeneration

from dopsd.mini import pools, vision
from dopsd.mini.captioned import CaptionedLatents
from dopsd.mini.generator import Field, build_transformer
from dopsd.support.pictures import from_bytes, to_bytes, to_pil
from dopsd.support.seeds import stream
from dopsd.world import captions, tokens
from dopsd.world.scenes import render, sample_scenes

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "models"


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(MODELS / "mini-turbo" / "tokenizer")


@pytest.fixture(scope="module")
def vlm():
    return Qwen3VLForConditionalGeneration.from_pretrained(MODELS / "mini-vlm", dtype=torch.float32).eval()


def test_fast_token_ids_are_the_tokenizers(tokenizer):
    rng = random.Random(0)
    for words in sample_scenes(50, stream("tokens")).words():
        text = captions.random_caption(words, rng)
        turn = [{"role": "user", "content": text}]
        theirs = tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=True, return_dict=True)
        assert tokens.prompt_ids(text) == list(theirs["input_ids"])
    assert tokenizer.unk_token_id not in tokenizer("please draw a [V] at left , neon style").input_ids


def test_the_batched_tower_is_the_vlms(vlm):
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(MODELS / "mini-vlm")
    images = from_bytes(to_bytes(render(sample_scenes(3, stream("tower")))))  # what a picture file holds
    for image in images:
        parts = [{"type": "image", "image": to_pil(image)}, {"type": "text", "text": "a [V]"}]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": parts}],
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
        )
        ids = tokens.pad([tokens.prompt_ids("a [V]", image=True)])
        assert torch.equal(ids, inputs["input_ids"])
        with torch.no_grad():
            theirs = vlm.model(**inputs, output_hidden_states=True, use_cache=False).hidden_states
            ours = vision.multimodal_states(vlm, image[None], ids)
        for a, b in zip(ours, theirs, strict=True):
            assert torch.allclose(a, b, atol=2e-3), (a - b).abs().max()


@pytest.mark.parametrize("longest", [20, 40])
def test_the_batched_velocity_is_the_transformers(longest):
    torch.manual_seed(0)
    for model in (
        build_transformer(),
        ZImageTransformer2DModel.from_pretrained(MODELS / "mini-base" / "transformer", torch_dtype=torch.float32),
    ):
        model.eval()
        lengths = [longest, 5, 17]
        padded = -(-longest // 32) * 32
        features = torch.randn(3, padded, 128)
        real = torch.arange(padded)[None] < torch.tensor(lengths)[:, None]
        x, t = torch.randn(3, 8, 16, 16), torch.tensor([0.0, 0.3, 0.9])
        with torch.no_grad():
            ours = Field(model)(x, t, (features, real))
            for i, length in enumerate(lengths):  # one by one: the class pads each caption to a multiple of 32 itself
                if -(-length // 32) * 32 == padded:
                    (theirs,) = model([x[i][:, None]], t[i : i + 1], [features[i, :length]], return_dict=False)[0]
                    assert torch.allclose(ours[i], theirs[:, 0], atol=1e-3), (ours[i] - theirs[:, 0]).abs().max()


def test_a_caption_length_that_is_not_padded_is_an_error():
    with pytest.raises(ValueError, match="multiple of 32"):
        Field(build_transformer())(
            torch.randn(1, 8, 16, 16), torch.zeros(1), (torch.randn(1, 20, 128), torch.ones(1, 20))
        )


def test_the_generator_is_trained_on_text_alone():
    """No module on the way from captions to the generators reaches the vision tower, and no prompt holds an image."""
    import ast

    seen, todo = set(), ["base", "turbo", "captioned", "generator", "encoder", "autoencoder"]
    while todo:
        name = todo.pop()
        seen.add(name)
        tree = ast.parse((ROOT / "src" / "dopsd" / "mini" / f"{name}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dopsd.mini"):
                names = [a.name for a in node.names] if node.module == "dopsd.mini" else [node.module.split(".")[-1]]
                todo += [n for n in names if n not in seen and (ROOT / "src/dopsd/mini" / f"{n}.py").exists()]
    assert not seen & {"vision", "align", "instruments"}, seen
    words = sample_scenes(200, stream("text alone")).words()
    for row in (pools.prompt_row, pools.long_row, pools.answer_row):
        rng = random.Random(0)
        ids = {i for w in words for i in row(w, rng)}
        assert not ids & set(tokens.IMAGE)
    assert not hasattr(CaptionedLatents, "vlm")


@pytest.mark.parametrize("name", ["mini-vlm", "mini-vlm-plain"])
def test_the_shipped_language_models_are_the_text_encoder(name):
    from transformers import Qwen3Model

    encoder = Qwen3Model.from_pretrained(MODELS / "mini-turbo" / "text_encoder", dtype=torch.float32).state_dict()
    vlm = Qwen3VLForConditionalGeneration.from_pretrained(MODELS / name, dtype=torch.float32)
    assert all(torch.equal(v, encoder[k]) for k, v in vlm.model.language_model.state_dict().items())


def test_the_shipped_models_are_small_safe_and_know_no_machine():
    files = [
        f
        for name in ("base", "turbo", "vlm", "vlm-plain", "clip", "reader")
        for f in (MODELS / f"mini-{name}").rglob("*")
        if f.is_file()
    ]
    assert sum(f.stat().st_size for f in files) <= 64e6
    assert {f.suffix for f in files} <= {".safetensors", ".json", ".jinja", ".md"}
    assert not any("_name_or_path" in f.read_text(encoding="utf-8") for f in files if f.suffix == ".json")
