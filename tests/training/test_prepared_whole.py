"""A method that asks for a preparation, with every weight tuned."""

import pytest
import tiny

from dopsd import backbones
from dopsd.method.preparation import Prepared
from dopsd.sets.jsonl import read_set
from dopsd.support.errors import UserError
from dopsd.training import prepared, prepared_whole, results
from dopsd.training.prepared_whole import check, train_whole
from dopsd.training.weights import WHOLE, put


def test_pso_tunes_every_weight(settings, concept_set, train_settings, tmp_path):
    how = train_settings.model_copy(update={"tune": "full", "steps": 2, "checkpoints": (), "batch_size": 2})
    model, untouched = backbones.load(settings), backbones.load(settings)
    done = train_whole(
        model, read_set(concept_set), tiny.method("pso"), how, seed=0, learning_rate=1e-3, work=tmp_path, name="pso"
    )
    folder = results.step_folder(done, 2)
    assert (folder / WHOLE).is_dir()
    before = dict(untouched.transformer.named_parameters())
    before = {n: p.detach().clone() for n, p in before.items()}
    put(untouched, folder)
    moved = [n for n, p in untouched.transformer.named_parameters() if not p.equal(before[n])]
    assert len(moved) > 0.9 * len(before)


def test_what_a_preparation_cannot_go_with_is_said_before_anything_is_made(train_settings, tmp_path):
    graphs = train_settings.model_copy(update={"cuda_graphs": True})
    check(tiny.method("pso"), train_settings)
    check(tiny.method("sft"), graphs)
    said = r"^train\.cuda_graphs: pso prepares something, which it cannot go with; set it to false$"
    with pytest.raises(UserError, match=said):
        train_whole(None, [], tiny.method("pso"), graphs, seed=0, learning_rate=1e-3, work=tmp_path, name="pso")


@pytest.mark.parametrize("kind", ["base_lora", "repair_lora", "distill_adapter"])
def test_what_is_made_of_loras_is_not_tuned_in_full(train_settings, kind):
    said = rf"^train\.tune: {kind} is made of LoRAs that are put together; set it to lora$"
    with pytest.raises(UserError, match=said):
        check(tiny.method(kind), train_settings)


def test_what_is_prepared_and_trained_is_of_the_seed_and_the_name_that_were_given(
    train_settings, tmp_path, monkeypatch
):
    given, prepares, trains = Prepared(prompts=["one"]), [], []
    monkeypatch.setattr(prepared, "prepare", lambda *asked: prepares.append(asked) or given)
    monkeypatch.setattr(prepared_whole, "train", lambda *what, **how: trains.append((what, how)) or tmp_path / "done")
    method, how = tiny.method("pso"), {"seed": 5, "learning_rate": 1e-3, "work": tmp_path, "name": "a pso"}
    assert train_whole("model", ["item"], method, train_settings, **how) == tmp_path / "done"
    assert prepares == [("model", ["item"], prepared.of(method), 5)]
    assert trains == [(("model", ["item"], prepared.ready(method, given), train_settings), how)]
