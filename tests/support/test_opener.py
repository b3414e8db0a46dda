"""The one opener of pictures: what comes out is what a reference in numpy says, and what cannot be opened is one error."""

import os
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from dopsd.support import opener
from dopsd.support.errors import UserError
from dopsd.support.opener import colour, opened, peek
from dopsd.support.pictures import read_image, to_bytes, to_pil

RNG = np.random.default_rng(0)
TURN = {  # what each EXIF orientation does to an array (height, width, ...)
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}
BANDS = {"RGB": 3, "RGBA": 4, "L": 1, "LA": 2}


def noise(*shape):
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def over(pixels, background):
    """(h, w, bands) of RGB, RGBA, L or LA, laid on a colour -> (h, w, 3), in numpy."""
    pixels = pixels.astype(float)
    bands = pixels.shape[-1]
    rgb = pixels[..., :3] if bands > 2 else np.repeat(pixels[..., :1], 3, -1)
    alpha = pixels[..., -1:] / 255 if bands in (2, 4) else 1.0
    return np.rint(alpha * rgb + (1 - alpha) * np.array(background))


@settings(deadline=None, max_examples=60)
@given(
    mode=st.sampled_from(list(BANDS)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    turned=st.sampled_from(list(TURN)),
    form=st.sampled_from(["png", "webp", "tif", "avif"]),
    background=st.tuples(*[st.integers(0, 255)] * 3),
    seed=st.integers(0, 99),
)
def test_any_picture_is_what_numpy_makes_of_it(tmp_path_factory, mode, size, turned, form, background, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, BANDS[mode]), dtype=np.uint8)
    file = tmp_path_factory.getbasetemp() / f"property.{form}"
    exif = Image.Exif()
    exif[opener.ORIENTATION] = turned
    image = Image.fromarray(pixels.squeeze(-1) if mode == "L" else pixels, mode=None)
    assert image.mode == mode
    lossless = {"webp": {"lossless": True, "exact": True}, "avif": {"quality": 100, "subsampling": "4:4:4"}}
    image.save(file, exif=exif, **lossless.get(form, {}))
    found = np.asarray(opened(file, f"#{bytes(background).hex()}")).astype(float)
    wanted = TURN[turned](over(pixels, background))
    head = peek(file)
    assert (head.height, head.width) == found.shape[:2] == wanted.shape[:2] and found.shape[2] == 3
    if form != "avif":  # which has no lossless form for all of these: its size and turning are held above
        assert np.abs(found - wanted).max() <= 1


def test_a_plain_picture_comes_out_to_the_bit(tmp_path):
    pixels = noise(50, 70, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert (np.asarray(opened(tmp_path / "a.png", "red")) == pixels).all()
    sheet = read_image(tmp_path / "a.png")
    assert (to_bytes(sheet).permute(1, 2, 0).numpy() == pixels).all()
    to_pil(sheet).save(tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_what_is_transparent_is_laid_on_the_background_and_never_shows_its_hidden_colour(tmp_path):
    hidden = np.zeros((4, 4, 4), np.uint8)  # black, fully transparent
    Image.fromarray(hidden).save(tmp_path / "a.png")
    assert (np.asarray(opened(tmp_path / "a.png")) == 255).all()
    assert (np.asarray(opened(tmp_path / "a.png", "#102030")) == (16, 32, 48)).all()
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.save(tmp_path / "p.png", transparency=0)
    assert np.asarray(opened(tmp_path / "p.png", "blue")).tolist() == [[[0, 0, 255], [0, 255, 0]]]
    palette.save(tmp_path / "p.gif", transparency=1)
    assert np.asarray(opened(tmp_path / "p.gif", "blue")).tolist() == [[[255, 0, 0], [0, 0, 255]]]
    assert peek(tmp_path / "p.gif").transparent and peek(tmp_path / "a.png").transparent


def test_sixteen_bits_of_grey_are_scaled(tmp_path):
    grey = np.array([[0, 128, 257, 32768, 65407, 65535]], np.uint16)
    for name in ("a.png", "a.tif"):
        Image.fromarray(grey).save(tmp_path / name)
        assert np.asarray(opened(tmp_path / name))[0, :, 0].tolist() == [0, 0, 1, 128, 255, 255], name
    Image.fromarray(grey.astype(np.float32) / 65535).save(tmp_path / "f.tif")
    with pytest.raises(UserError, match=r"f\.tif: .*grey of 32 bits"):
        opened(tmp_path / "f.tif")


def test_cmyk_is_converted(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    red, green, blue = opened(tmp_path / "a.jpg").getpixel((3, 3))
    assert red > 240 and green < 15 and blue < 15


def s15(x):
    return struct.pack(">i", round(x * 65536))


def matrix_profile(name, columns, gamma=563 / 256):
    """A small ICC profile of three primaries and one gamma. columns: of red, green and blue in D50's XYZ."""
    xyz = [b"XYZ " + b"\0" * 4 + b"".join(map(s15, c)) for c in (*columns, (0.9642, 1.0, 0.8249))]
    curve = b"curv" + b"\0" * 4 + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    text = name.encode()
    said = b"desc" + b"\0" * 4 + struct.pack(">I", len(text) + 1) + text + b"\0" * (1 + 78)
    said += b"\0" * (-len(said) % 4)
    tags = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ", b"wtpt"), xyz, strict=True))
    tags |= {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve, b"desc": said}
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for tag, data in tags.items():
        table += tag + struct.pack(">II", at + len(body), len(data))
        body += data
    size = at + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28
    head += b"".join(map(s15, (0.9642, 1.0, 0.8249)))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


P3 = [(0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)]  # D50, as Apple's says


def p3_to_srgb(pixels, gamma):
    """(..., 3) of Display P3's primaries with a plain gamma -> sRGB, in numpy."""
    linear = (pixels / 255) ** gamma
    srgb = np.array([(0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)]).T
    out = np.clip(linear @ np.array(P3) @ np.linalg.inv(srgb).T, 0, 1)
    return 255 * np.where(out <= 0.0031308, 12.92 * out, 1.055 * out ** (1 / 2.4) - 0.055)


def test_a_colour_profile_is_converted_to_srgb(tmp_path):
    pixels = noise(16, 16, 3)
    profile = matrix_profile("Display P3", P3)
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=profile)
    found, wanted = np.asarray(opened(tmp_path / "a.png")).astype(float), p3_to_srgb(pixels, 563 / 256)
    assert np.abs(found - wanted).max() <= 3 and np.abs(found - pixels).max() > 30
    assert peek(tmp_path / "a.png").profile == "Display P3" and "icc_profile" not in opened(tmp_path / "a.png").info
    alpha = np.concatenate([pixels, np.full((16, 16, 1), 128, np.uint8)], -1)
    Image.fromarray(alpha).save(tmp_path / "b.png", icc_profile=profile)
    half = np.asarray(opened(tmp_path / "b.png", "black")).astype(float)
    assert np.abs(half - found * 128 / 255).max() <= 1
    grey = noise(16, 16)  # a grey JPEG with its camera's RGB profile is common
    Image.fromarray(grey).save(tmp_path / "g.png", icc_profile=profile)
    assert (
        np.abs(np.asarray(opened(tmp_path / "g.png")) - p3_to_srgb(grey[..., None].repeat(3, -1), 563 / 256)).max() <= 3
    )


def test_srgb_stays_to_the_bit_and_a_broken_profile_is_told_and_not_fatal(tmp_path):
    pixels = noise(16, 16, 3)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name, profile, broken in (("s.png", srgb, False), ("x.png", srgb[:200], True), ("y.png", b"no profile", True)):
        Image.fromarray(pixels).save(tmp_path / name, icc_profile=profile)
        assert (np.asarray(opened(tmp_path / name)) == pixels).all()
        head = peek(tmp_path / name)
        assert head.profile is None and head.broken_profile is broken


def test_damaged_exif_is_no_error(tmp_path):
    pixels = Image.fromarray(noise(20, 30, 3))
    for k, exif in enumerate(
        (b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01" * 40, b"Exif\0\0")
    ):
        file = tmp_path / f"{k}.jpg"
        pixels.save(file, exif=exif)
        assert opened(file).size == (30, 20) and peek(file).width == 30
    odd = Image.Exif()
    odd[opener.ORIENTATION] = 99
    pixels.save(tmp_path / "odd.jpg", exif=odd)
    assert opened(tmp_path / "odd.jpg").size == (30, 20)


def test_exif_behind_the_pixels_of_a_png_is_seen_by_the_header_alone(tmp_path):
    exif = Image.Exif()
    exif[opener.ORIENTATION] = 6
    Image.fromarray(noise(20, 30, 3)).save(tmp_path / "a.png")
    data, said = (tmp_path / "a.png").read_bytes(), exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(said)) + b"eXIf" + said + struct.pack(">I", zlib.crc32(b"eXIf" + said))
    (tmp_path / "b.png").write_bytes(data[:-12] + chunk + data[-12:])
    assert (peek(tmp_path / "b.png").height, peek(tmp_path / "b.png").width) == (30, 20)
    assert opened(tmp_path / "b.png").size == (20, 30)


def test_a_header_costs_no_decoding(tmp_path, monkeypatch):
    from PIL import ImageFile

    for name in ("a.png", "a.jpg", "a.webp", "a.tif"):
        Image.fromarray(noise(20, 30, 3)).save(tmp_path / name)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    assert {peek(tmp_path / n).width for n in ("a.png", "a.jpg", "a.webp", "a.tif")} == {30}


def test_the_first_frame_of_an_animation_is_taken(tmp_path):
    frames = [Image.new("RGB", (8, 8), c) for c in ("red", "blue")]
    for name in ("a.gif", "a.webp", "a.png", "a.tif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        assert peek(tmp_path / name).several and opened(tmp_path / name).getpixel((2, 2))[0] > 240, name
    frames[0].save(tmp_path / "one.gif")
    assert not peek(tmp_path / "one.gif").several


def bomb(width, height):
    """A PNG of a few bytes that says that it is large."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    parts = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_what_is_no_picture_or_a_damaged_one_is_one_error(tmp_path, monkeypatch):
    def no_program(*_, **__):
        pytest.fail("a program is started")

    monkeypatch.setattr("subprocess.Popen", no_program)
    monkeypatch.setattr("subprocess.check_call", no_program)
    Image.fromarray(noise(64, 64, 3)).save(tmp_path / "good.png")
    Image.fromarray(noise(64, 64, 3)).save(tmp_path / "good.jpg")
    png, jpg = (tmp_path / "good.png").read_bytes(), (tmp_path / "good.jpg").read_bytes()
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(x) show\n%%EOF\n"
    cases = {
        "eps.png": (eps, "not a readable image: none of JPEG, PNG"),
        "empty.png": (b"", "not a readable image"),
        "text.jpg": (b"no picture", "not a readable image"),
        "cut.png": (png[: len(png) // 2], "not a readable image .*replace it"),
        "cut-late.png": (png[:-8], "not a readable image .*replace it"),
        "cut.jpg": (jpg[: len(jpg) // 2], "not a readable image .*replace it"),
        "flipped.png": (flipped(png, len(png) // 2), "not a readable image .*replace it"),
        "flipped-head.png": (flipped(png, 18), "not a readable image"),
        "bomb.png": (bomb(50_000, 50_000), "not a readable image|more than 100 million"),
        "wide.png": (bomb(12_000, 12_000), "12000 x 12000 pixels, more than 100 million"),
        "strip.png": (bomb(200_000, 2), "200000 x 2 pixels, more than"),
    }
    for name, (data, message) in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=rf"{name}: ({message})"):
            opened(tmp_path / name)


def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for look in (opened, peek):
        with pytest.raises(UserError, match=r"pipe\.png: not a regular file"):
            look(tmp_path / "pipe.png")
        with pytest.raises(UserError, match="not a regular file"):
            look(tmp_path.__class__("/dev/zero"))
        with pytest.raises(UserError, match="no such file"):
            look(tmp_path / "none.png")
        with pytest.raises(UserError, match="a folder"):
            look(tmp_path)


def test_backgrounds():
    assert colour("white") == (255, 255, 255) and colour("#0a0B0c") == (10, 11, 12) and colour("Navy") == (0, 0, 128)
    for text in ("", "whit", "#fff", "#12345g", "rgb(1,2,3)", "255"):
        with pytest.raises(UserError, match=r"background .*: no colour; give a name \(white\) or #rrggbb"):
            colour(text)
