"""What the tests of several commands are given."""

import pytest
from PIL import Image

from dopsd.sets import folder as own


@pytest.fixture
def items(tmp_path):
    """Two pictures of a person's, in two shapes."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, (colour, size) in enumerate((("red", (80, 60)), ("blue", (64, 64)))):
        Image.new("RGB", size, colour).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text("[V] outdoors")
    return own.read_pictures(folder, "my corgi", 64).items
