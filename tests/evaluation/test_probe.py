"""The probe on models whose answer is known: one that draws what it saw, and one that sees nothing."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from dopsd.evaluation import probe
from dopsd.support.pictures import from_pil
from dopsd.world.scenes import ATTRIBUTES, NAMES

SETTINGS = SimpleNamespace(contexts=list(probe.CONTEXTS), nfe=[2, 3], layers=[-1, -2], images=24, table_images=24)


class Seer:
    """Draws the picture in its context, or grey where there is none; layer -1 shows it nothing."""

    device = torch.device("cpu")

    def latent_shape(self, height, width):
        return 3, height, width

    def step_grid(self, steps, size=None):
        return torch.linspace(0, 1, steps + 1)

    def context(self, texts, images=None, layer=-2):
        if images is None or layer != -2:
            return [torch.zeros(3, 64, 64) for _ in texts]
        return [from_pil(image) for image in images]

    def velocity(self, x_t, t, context):
        return (torch.stack(context) - x_t) / (1 - t[:, None, None, None])

    def decode(self, latents):
        return latents.clamp(-1, 1)


class Oracle:
    def __init__(self, asked):
        self.images = F.avg_pool2d(asked.images, 8).flatten(1)
        self.attributes = asked.scenes.attributes

    def read(self, images):
        return self.attributes[torch.cdist(F.avg_pool2d(images, 8).flatten(1), self.images).argmin(1)]


@pytest.fixture(scope="module")
def result():
    asked = probe.targets(24, 0, (3, 64, 64))
    return probe.probe(Seer(), Oracle(asked), SETTINGS, layer=-2, seed=0, batch_size=10)


def test_what_was_seen_is_found_and_a_wrong_picture_is_not(result):
    scores, _, _ = result
    assert list(scores) == ["2", "3"]  # NFE
    scores = scores["2"]
    assert list(scores) == list(probe.CONTEXTS)
    assert scores["image_text"]["mean"]["value"] == scores["image"]["mean"]["value"] == 1.0
    assert scores["wrong_image_text"]["mean"]["value"] < 0.7
    assert scores["wrong_image_text"]["style"]["value"] == 1.0  # another picture, but of the same style
    assert scores["text"]["mean"]["value"] < 0.7
    assert set(scores["image"]) == {*NAMES, "mean"}
    assert set(scores["text"]) < {*NAMES, "mean"}  # grey is read as one style: what it hides is left out


def test_the_table_has_every_step_count_and_layer(result):
    _, rows, _ = result
    cells = {(r["context"], r["nfe"], r["layer"]) for r in rows}
    pictured = {(c, n, layer) for c in probe.CONTEXTS[1:] for n in (2, 3) for layer in (-1, -2)}
    assert cells == pictured | {("text", 2, -2), ("text", 3, -2)}
    means = {(r["context"], r["layer"]): r["value"] for r in rows if r["attribute"] == "mean" and r["nfe"] == 3}
    assert means["image", -2] == 1.0 > means["image", -1]


def test_targets_show_every_style_equally_and_differ_from_their_wrong_picture(result):
    asked = probe.targets(24, 0, (3, 4, 4))
    assert asked.scenes.attributes[:, NAMES.index("style")].bincount().tolist() == [4] * len(ATTRIBUTES["style"])
    assert torch.equal(asked.noise, probe.targets(24, 0, (3, 4, 4)).noise)
    _, _, pictures = result
    assert list(pictures) == ["target", *probe.CONTEXTS]
    assert all(images.shape == (probe.SHEET_COLUMNS, 3, 64, 64) for images in pictures.values())
    with pytest.raises(ValueError, match=r"probe\.images"):
        probe.targets(11, 0, (3, 4, 4))


def test_a_wrong_picture_has_the_style_and_is_another():
    asked = probe.targets(24, 0, (3, 4, 4))
    style = asked.scenes.attributes[:, NAMES.index("style")]
    assert torch.equal(style[asked.wrong], style) and (asked.wrong != torch.arange(24)).all()
    assert asked.wrong.sort().values.tolist() == list(range(24))  # each is the wrong picture of one
    few = asked.first(18)
    assert len(few.scenes) == len(few.images) == len(few.texts) == len(few.noise) == 18 and few.wrong.max() < 18
    with pytest.raises(ValueError, match="no other beside it"):
        probe.of_equal_style(asked.scenes.attributes[:1])


def test_what_either_style_hides_is_left_out_and_a_wrong_style_is_a_miss():
    photo, neon = (torch.zeros(2, len(NAMES), dtype=torch.long) for _ in range(2))
    neon[:, NAMES.index("style")] = ATTRIBUTES["style"].index("neon")
    wanted = torch.cat([photo, neon])
    read = wanted.clone()
    read[0] = neon[0]  # drawn in a style that hides texture, outline and background
    found = probe.by_attribute(read, wanted)
    assert found["shape"] == {**found["shape"], "value": 1.0, "n": 4} and found["texture"]["n"] == 1
    assert found["style"]["value"] == 0.75
    nothing = probe.by_attribute(read, wanted, torch.zeros_like(wanted, dtype=torch.bool))
    assert nothing == {}


def test_an_unknown_context_is_named():
    with pytest.raises(ValueError, match="unknown context 'smell'"):
        probe.contexts(Seer(), "smell", probe.targets(12, 0, (3, 4, 4)), -2)
