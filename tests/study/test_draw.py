"""What a cell draws: each sheet under the weights of its step, the untouched model's first."""

from types import SimpleNamespace

import pytest
import torch

from dopsd.evaluation.rows import NEW, ORDINARY, Row
from dopsd.evaluation.sheets import Sheet, kept
from dopsd.study import draw


class Model:
    """Its pictures are as bright as the weights that are on it say."""

    device = torch.device("cpu")

    def __init__(self):
        self.weights, self.freed = 0.0, False

    def latent_shape(self, height, width):
        return 3, height, width

    def step_grid(self, steps, size):
        return torch.linspace(0, 1, steps + 1)

    def context(self, texts, images=None, references=None):
        assert not self.freed
        return [0.0 for _ in texts]

    def free_encoders(self):
        self.freed = True

    def velocity(self, x, t, context):
        return (self.weights - x) / (1 - t[:, None, None, None])

    def decode(self, latents):
        return latents


@pytest.fixture
def model(monkeypatch, tmp_path):
    made = Model()
    monkeypatch.setattr(draw.backbones, "load", lambda settings: made)
    monkeypatch.setattr(draw, "put", lambda backbone, folder: setattr(backbone, "weights", int(folder.name[5:]) / 100))
    return made


def rows(seed):
    kinds = (NEW, NEW, ORDINARY)
    more = {"group": "0", "text": "[V]", "height": 16, "width": 16, "seed": seed}
    return [Row.model_validate({"id": f"{seed}-{i}", "kind": k, "noise": i, **more}) for i, k in enumerate(kinds)]


def test_each_sheet_is_drawn_with_the_weights_of_its_step_on_the_rows_of_its_seed(model, tmp_path):
    todo = [Sheet(40, NEW, 2), Sheet(0, ORDINARY, 1), Sheet(20, NEW, 2), Sheet(40, ORDINARY, 3)]
    weights = {step: tmp_path / f"step-{step:04d}" for step in (20, 40)}
    asked, settings = [*rows(0), *rows(1)], SimpleNamespace(model_copy=lambda update: update)
    out = draw.draw_cell(settings, weights, asked, [], 1, "said", todo, 2, tmp_path / "out", "cpu")
    assert out == tmp_path / "out" and model.freed
    assert len(list(out.rglob("*.png"))) == 4
    for sheet in todo:
        images = kept(out, sheet, [r for r in rows(1) if r.kind == sheet.kind])
        assert all(torch.allclose(x, torch.full_like(x, sheet.step / 100), atol=0.01) for x in images), sheet
