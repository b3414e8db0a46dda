import pytest
import torch

from dopsd.mini import loop


class Stop(Exception):
    pass


def fit(work, steps=6, die_at=None):
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    average = loop.Average(model, 0.5)

    def loss_fn(step):
        if step == die_at:
            raise Stop
        return (model(torch.tensor([[1.0, step]])) ** 2).mean()

    kept = {"model": model, "average": average}
    loop.fit(
        loss_fn, kept, optimizer, steps=steps, work=work, name="x", warmup=1, after_step=lambda s: average.update(model)
    )
    return model.weight.detach(), average.module.weight.detach()


def test_a_part_that_was_stopped_goes_on_where_it_was_saved(tmp_path, monkeypatch):
    whole = fit(tmp_path / "whole")
    monkeypatch.setattr(loop, "SAVE_EVERY", 0.0)
    with pytest.raises(Stop):
        fit(tmp_path / "parts", die_at=4)
    assert (tmp_path / "parts" / "x.pt").exists()
    for a, b in zip(whole, fit(tmp_path / "parts"), strict=True):
        assert torch.equal(a, b)


def test_the_loss_is_logged(tmp_path):
    fit(tmp_path)
    rows = (tmp_path / "x.csv").read_text().splitlines()
    assert rows[0] == "step,loss,grad_norm,learning_rate_scale,seconds" and len(rows) == 2


def test_a_loss_that_is_no_number_stops_the_training(tmp_path):
    model = torch.nn.Linear(1, 1)
    with pytest.raises(FloatingPointError, match="not a number at step 0"):
        loop.fit(
            lambda step: model(torch.ones(1)).sum() * float("nan"),
            {"model": model},
            torch.optim.SGD(model.parameters(), 0.1),
            steps=2,
            work=tmp_path,
            name="y",
        )
