"""How a stage's cells are kept and published."""

import pytest

from dopsd.study.grid import Cell
from dopsd.study.pipeline import Study


def write(text, work, device):
    work.mkdir(parents=True)
    (work / "x").write_text(text)
    return work


@pytest.fixture
def study(params, tmp_path):
    one = params.model_copy(update={"execute": params.execute.model_copy(update={"jobs": 1})})
    return Study(one, tmp_path / "store")


def test_cells_of_one_key_are_made_once_and_all_published(study, tmp_path, capsys):
    """Two methods that trained the same weights draw the same pictures: neither is left out."""
    cells = {Cell("a", "beacon", 0): "k1", Cell("b", "beacon", 0): "k1", Cell("a", "beacon", 1): "k2"}
    keyed = {cell: (k, (write, (k, study.store.work(k)))) for cell, k in cells.items()}

    def place(method, concept, seed):
        return tmp_path / "out" / method / concept / str(seed)

    finished = study._published("test", keyed, place, tmp_path / "out")
    assert "test: 2 cells, 0 kept, 2 to run" in capsys.readouterr().out
    assert {c: (place(*c) / "x").read_text() for c in cells} == cells and set(finished) == set(cells)
    study._published("test", keyed, place, tmp_path / "out")
    assert "test: 2 cells, 2 kept, 0 to run" in capsys.readouterr().out
