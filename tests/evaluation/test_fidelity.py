import pytest
import torch
import torch.nn.functional as F

from dopsd.evaluation import fidelity
from dopsd.world.outside import CONCEPTS
from dopsd.world.scenes import NAMES, index


def row(**words: str) -> torch.Tensor:
    """Attributes of one scene: the first value of each attribute unless given."""
    return torch.tensor([[index(a, words[a]) if a in words else 0 for a in NAMES]])


def mask(*names: str) -> torch.Tensor:
    return torch.tensor([[a in names for a in NAMES]])


def test_adherence_is_the_share_of_what_the_prompt_states():
    wanted, read = row(shape="star", colour="red", size="large"), row(shape="star", colour="blue", size="large")
    assert fidelity.adherence(read, wanted, mask("shape", "colour")).item() == 0.5
    assert fidelity.adherence(read, wanted, mask("shape", "size")).item() == 1.0


def test_adherence_leaves_out_what_the_wanted_style_hides():
    wanted, read = row(colour="red", style="sketch"), row(colour="blue", style="sketch")
    assert fidelity.adherence(read, wanted, mask("colour", "style")).item() == 1.0
    assert fidelity.adherence(read, wanted, mask("colour")).isnan().all()


def test_nothing_is_found_that_the_drawn_style_hides():
    wanted, read = row(colour="red", style="photo"), row(colour="red", style="sketch")
    assert fidelity.adherence(read, wanted, mask("colour")).item() == 0.0


def test_concept_fidelity_counts_the_concepts_own_attributes():
    beacon = CONCEPTS["beacon"].attributes
    wanted = row(**beacon, background_colour="plum")
    assert fidelity.concept_fidelity(wanted, wanted, beacon).item() == 1.0
    read = row(**{**beacon, "colour": "red"}, background_colour="rust")
    assert fidelity.concept_fidelity(read, wanted, beacon).item() == 0.75


def test_style():
    assert fidelity.style(row(style="neon"), row(style="neon")).item() == 1.0
    assert fidelity.style(row(style="neon"), row(style="photo")).item() == 0.0


def test_leakage_counts_only_what_nobody_asked_for():
    beacon = CONCEPTS["beacon"].attributes
    read = row(**beacon)
    wanted = row(shape="star", colour="red")
    assert fidelity.leakage(read, wanted, mask(), beacon).item() == 1.0
    stated = mask("shape", "colour")  # the star was asked for; red was, but orange came
    assert fidelity.leakage(read, wanted, stated, beacon).item() == 1.0
    assert fidelity.leakage(wanted, wanted, stated, beacon).item() == 0.0


def test_clip_i_is_the_mean_and_copying_the_nearest():
    training = torch.eye(2)
    features = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    assert fidelity.clip_i(features, training).tolist() == pytest.approx([0.5, 0.7])
    assert fidelity.copying(features, training).tolist() == pytest.approx([1.0, 0.8])


def test_diversity_is_within_a_prompt_only():
    features = F.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), dim=1)
    assert fidelity.diversity(features, list("aabb")).tolist() == pytest.approx([0.0, 0.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="two noises"):
        fidelity.diversity(features, list("aabc"))


def test_diversity_of_three_pictures_is_the_mean_over_their_pairs():
    features = F.normalize(torch.randn(3, 5, generator=torch.Generator().manual_seed(0)), dim=1)
    pairs = [1 - features[i] @ features[j] for i, j in ((0, 1), (0, 2), (1, 2))]
    assert fidelity.diversity(features, list("aaa")).mean().item() == pytest.approx(float(sum(pairs)) / 3, abs=1e-6)
