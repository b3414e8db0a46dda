import numpy as np
import pytest

from dopsd.report import grids
from dopsd.support.errors import UserError

TILES = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
FOOT = "A line that is broken, since the grid above it has but one narrow column of pictures."


@pytest.mark.parametrize("foot", ["", "One.", FOOT])
def test_a_grid_is_taken_apart_again_however_many_lines_stand_beneath(foot, tmp_path):
    rows, file = [[tile] for tile in TILES], tmp_path / "grid.png"
    grids.save(grids.picture_grid(rows, ["a"], ["x", "y"], 2, title=12, foot=foot), file)
    found = grids.cut(file, ["a"], ["x", "y"], 64, 12, 2)
    assert all(np.array_equal(mine[0], tile) for mine, tile in zip(found, TILES, strict=True))
    with pytest.raises(UserError, match=r"grid\.png: not the sheet of these rows"):
        grids.cut(file, ["a"], ["x"], 64, 12, 2)
