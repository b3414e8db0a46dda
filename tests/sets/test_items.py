"""One picture: identity by content, and a crop that costs what it keeps."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dopsd.sets.items import Item, by_name, fitted, lost
from dopsd.support.errors import UserError


def as_before(image, height, width):
    """Resized whole, then cropped: the reference."""
    scale = max(height / image.height, width / image.width)
    whole = (max(width, round(image.width * scale)), max(height, round(image.height * scale)))
    image = image.resize(whole, Image.Resampling.LANCZOS)
    left, top = (whole[0] - width) // 2, (whole[1] - height) // 2
    return np.asarray(image.crop((left, top, left + width, top + height))).astype(int)


def picture(height, width, seed=0):
    small = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("size", [(64, 64), (48, 80), (256, 128)])
def test_usual_pictures_are_cropped_and_resized_to_the_bit_as_before(size):
    for height, width in ((64, 64), (300, 400), (640, 480), (99, 150), (48, 80)):
        image = picture(height, width)
        assert (np.asarray(fitted(image, *size)) == as_before(image, *size)).all()


def test_a_strip_is_cropped_before_it_is_resized(monkeypatch):
    for height, width in ((100, 3000), (2000, 60)):
        image = picture(height, width)
        assert np.abs(np.asarray(fitted(image, 64, 64)).astype(int) - as_before(image, 64, 64)).max() <= 2
    strip, made, resize = picture(10, 20_000), [], Image.Image.resize

    def counted(self, size, *rest):
        made.append(size[0] * size[1])
        return resize(self, size, *rest)

    monkeypatch.setattr(Image.Image, "resize", counted)
    assert fitted(strip, 720, 1456).size == (1456, 720)
    assert made == [720 * 1456]  # whole, it is 1,440,000 x 720 pixels: a minute and 4 GiB


def test_the_share_that_a_crop_loses():
    assert lost(64, 64, (32, 32)) == 0 and lost(300, 400, (48, 64)) == 0
    assert lost(1000, 4000, (724, 1448)) == pytest.approx(0.5, abs=0.001)
    assert lost(64, 128, (64, 64)) == 0.5


def test_a_picture_is_known_by_its_content_and_its_files_name(tmp_path):
    for folder, value in (("a", "red"), ("b", "blue"), ("c", "red")):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (16, 16), value).save(tmp_path / folder / "1.png")
    a, b, c = (Item(tmp_path / f / "1.png", (16, 16), {}, "x") for f in "abc")
    assert a.name != b.name and a.name == c.name and a.name.startswith("1.png@") and len(a.name) == len("1.png@") + 8
    assert by_name([a, b]) == {a.name: a, b.name: b}  # the bare name says neither
    alone = replace(a, file=a.file.rename(tmp_path / "2.png"))
    assert by_name([alone, b]) == {"2.png": alone, alone.name: alone, "1.png": b, b.name: b}
    with pytest.raises(UserError, match="the same name and content as"):
        by_name([c, replace(c, size=(32, 32))])


def test_the_background_reaches_pictures_and_references(tmp_path):
    file = tmp_path / "a.png"
    Image.new("RGBA", (16, 16), (0, 0, 0, 0)).save(file)
    item = Item(file, (16, 16), {}, "x", (file,), "#00ff00")
    assert item.image().getpixel((0, 0)) == item.references()[0].getpixel((0, 0)) == (0, 255, 0)
    assert replace(item, background="white").image().getpixel((0, 0)) == (255, 255, 255)
