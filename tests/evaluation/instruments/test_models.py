"""The instruments for real models, on tiny random models of their own classes, saved to and loaded from disk."""

import shutil

import pytest
import tiny
import torch
import torch.nn.functional as F
from PIL import Image

from dopsd.backbones import hub
from dopsd.backbones.vlm import Vlm
from dopsd.evaluation import distances
from dopsd.evaluation.instruments import judge, lpips
from dopsd.evaluation.instruments.clip import CLIP_FILES, Contrastive
from dopsd.evaluation.instruments.dino import Dino
from dopsd.evaluation.instruments.mini_clip import load_clip
from dopsd.support.errors import UserError
from dopsd.support.pictures import to_pil

CPU = torch.device("cpu")


@pytest.fixture
def pictures():
    """Three pictures of two sizes."""
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(3, h, w, generator=generator) * 2 - 1 for h, w in ((64, 64), (64, 64), (48, 80))]


@pytest.mark.parametrize("version", [2, 3])
def test_dino_distance_is_of_mean_patch_tokens(version, pictures, tmp_path):
    dino = Dino(str(tiny.dino(tmp_path / "dino", version)), None, CPU)
    tokens = dino._tokens(pictures)
    registers = 0 if version == 2 else 2
    assert tokens.shape == (3, 1 + registers + 4, 32)  # a class token, registers, 2 x 2 patches
    mean = tokens[:, 1 + registers :].mean(1)
    expected = 1 - F.cosine_similarity(mean[:1], mean[1:2])
    assert torch.allclose(dino.distance(pictures[:1], pictures[1:2]), expected, atol=1e-6)
    assert torch.allclose(dino.distance(pictures, pictures), torch.zeros(3), atol=1e-6)
    assert torch.equal(dino.features(pictures), tokens[:, 0])
    assert distances.frechet(dino.features(pictures), dino.features(pictures)) == pytest.approx(0, abs=1e-6)


def test_lpips_is_torchmetrics_own_with_the_given_weights(pictures, tmp_path):
    folder = tiny.vgg(tmp_path / "vgg")
    eye = lpips.Lpips(folder, CPU)
    a, b = pictures[:1], pictures[1:2]
    assert eye.distance(a, a).item() == 0
    near = [(a[0] + 0.1 * (b[0] - a[0]))]
    assert 0 < eye.distance(near, a).item() < eye.distance(b, a).item()
    again = lpips.Lpips(folder, CPU)
    assert torch.equal(again.distance(a, b), eye.distance(a, b))  # nothing of the random start is left
    assert len(eye.distance(pictures, pictures)) == 3


def test_lpips_refuses_other_weights(tmp_path):
    with pytest.raises(UserError, match=r"no VGG16.*timm/vgg16"):
        lpips.Lpips(tiny.clip(tmp_path / "clip"), CPU)


def test_clip_score_is_the_cosine_of_picture_and_text(pictures, tmp_path):
    clip = Contrastive(tiny.clip(tmp_path / "clip"), CPU)
    images, texts = clip.image_features(pictures), clip.text_features(["a dog", "a cat", "a dog"])
    assert torch.allclose(images.norm(dim=1), torch.ones(3)) and torch.allclose(texts.norm(dim=1), torch.ones(3))
    assert torch.equal(texts[0], texts[2]) and not torch.allclose(texts[0], texts[1])
    assert torch.allclose(clip.score(pictures, ["a dog", "a cat", "a dog"]), (images * texts).sum(1))


def test_texts_beyond_77_tokens_are_cut_and_counted(tmp_path):
    clip = Contrastive(tiny.clip(tmp_path / "clip"), CPU)
    long = "a dog on a beach " * 30
    assert clip.too_long(["a dog", long, ""]) == 1
    assert torch.equal(clip.text_features([long]), clip.text_features([long + "and a cat"]))


def test_a_contrastive_model_without_weights_is_an_error(tmp_path):
    folder = tiny.clip(tmp_path / "clip")
    (folder / "open_clip_model.safetensors").unlink()
    with pytest.raises(UserError, match="cannot open the contrastive model"):
        Contrastive(folder, CPU)
    with pytest.raises(UserError, match="has no open_clip"):
        hub.fetch(str(folder), None, "clip's model", CLIP_FILES)


def test_a_reward_is_weights_alone_and_runs_no_code(pictures, tmp_path):
    folder, architecture = tiny.reward(tmp_path / "reward")
    reward = Contrastive(folder, CPU, architecture, "reward.pt")
    clip = Contrastive(tiny.clip(tmp_path / "clip"), CPU)
    scores = reward.score(pictures, ["a dog"] * 3)
    assert scores.shape == (3,) and not torch.allclose(scores, clip.score(pictures, ["a dog"] * 3))
    wide = reward.preprocess(to_pil(torch.ones(3, 32, 64)))
    assert wide.shape == (3, 32, 32) and not torch.allclose(
        wide[:, 0], wide[:, 16]
    )  # whole, with a border, not cropped

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"state_dict": Evil()}, folder / "reward.pt")
    with pytest.raises(UserError, match="cannot open the contrastive model"):
        Contrastive(folder, CPU, architecture, "reward.pt")
    assert not (tmp_path / "ran").exists()


def test_the_miniatures_clip_has_the_same_interface(pictures):
    clip = load_clip()
    assert torch.allclose(clip.image_features(pictures)[:2], clip.image_features(torch.stack(pictures[:2])), atol=1e-6)
    assert clip.image_features(pictures).shape == (3, 64)


class Fake:
    """A VLM that answers by rule, and remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def choose(self, pictures, question, letters):
        self.asked.append((pictures, question, letters))
        return len(self.asked) - 1


def test_the_judge_gives_one_to_four_for_its_labels(pictures):
    vlm, target = Fake(), Image.new("RGB", (32, 32))
    scores = judge.Judge(vlm).score([pictures[0]] * 4, [target] * 4, ["[V] in snow"] * 4, ["my dog"] * 4)
    assert scores.tolist() == [1, 2, 3, 4]
    seen, question, letters = vlm.asked[0]
    assert seen[0] is target and letters == ["A", "B", "C", "D"]
    assert "my dog in snow" in question and "[V]" not in question and all(label in question for label in judge.LABELS)


def test_a_qwen3_vl_judges_alike_every_time(pictures, tmp_path):
    vlm = Vlm(str(tiny.vlm(tmp_path / "vlm")), None, CPU, torch.float32, 64 * 64)
    one = judge.Judge(vlm).score(pictures, [to_pil(p) for p in pictures], ["[V] in snow"] * 3, ["dog"] * 3)
    two = judge.Judge(vlm).score(pictures, [to_pil(p) for p in pictures], ["[V] in snow"] * 3, ["dog"] * 3)
    assert torch.equal(one, two) and set(one.tolist()) <= {1, 2, 3, 4}


def test_the_choice_is_the_likeliest_first_letter(tmp_path):
    vlm = Vlm(str(tiny.vlm(tmp_path / "vlm")), None, CPU, torch.float32, 64 * 64)
    picture = Image.new("RGB", (64, 64), "red")
    said = vlm.ask([picture], "Which?", tokens=1)
    if len(said) == 1:  # what it would say is among the choices, so it is chosen
        assert vlm.choose([picture], "Which?", ["~", said, "|"]) == 1
    first = vlm.choose([picture], "Which?", ["A", "B"])
    assert vlm.choose([picture], "Which?", ["B", "A"]) == 1 - first


def test_a_missing_model_names_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="hf auth login"):
        hub.fetch("nobody/nothing", None, "judge's model", ("*.json",))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match=r"has no \*.json"):
        hub.fetch(str(empty), None, "judge's model", ("*.json",))
    shutil.rmtree(empty)
