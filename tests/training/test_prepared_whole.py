"""A method that asks for a preparation, with every weight tuned."""

import tiny

from dopsd import backbones
from dopsd.sets.jsonl import read_set
from dopsd.training import results
from dopsd.training.prepared_whole import train_whole
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
