"""What of a folder is taken, what is left out, and why."""

import os
from pathlib import Path

import pytest
from PIL import Image

from dopsd.sets import listing
from dopsd.sets.listing import grouped, listed, mark
from dopsd.support.errors import UserError


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    add(folder, "a.jpg", "b.png")
    return folder


def add(folder, *names):
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix in (".jpg", ".png", ".gif", ".avif", ".tiff", ".jfif", ".webp"):
            form = {".jfif": "JPEG", ".jpg": "JPEG"}.get(file.suffix)
            Image.new("RGB", (32, 32)).save(file, form)
        else:
            file.write_text("x")


def names(files, folder):
    return [str(f.relative_to(folder)) for f in files]


def why(folder, out=None):
    return {str(f.relative_to(folder)): reason for f, reason in listed(folder, out).left}


def test_every_format_that_is_read_is_taken_in_order_of_the_paths(photos):
    add(photos, "c.avif", "d.gif", "e.tiff", "f.jfif", "sub/a.webp", "B.png", "a10.png", "a2.png")
    assert names(listed(photos).pictures, photos) == names(sorted(listed(photos).pictures), photos)
    assert names(listed(photos).pictures, photos) == [
        "B.png", "a.jpg", "a10.png", "a2.png", "b.png", "c.avif", "d.gif", "e.tiff", "f.jfif", "sub/a.webp",
    ]  # fmt: skip
    assert listed(photos).left == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (".hidden.png", "hidden"),
        (".thumbnails/a.png", "hidden"),
        (".ipynb_checkpoints/a-checkpoint.png", "hidden"),
        ("@eaDir/a.jpg", "thumbnails"),
        ("__MACOSX/a.jpg", "a system's own"),
        ("Thumbs.db", "thumbnails"),
        ("a-masklabel.png", "a mask of another picture"),
        ("b_mask.png", "a mask of another picture"),
        ("masks/a.png", "a mask of another picture"),
        ("a_thumb.jpg", "a thumbnail of another picture"),
        ("b-150x150.png", "a thumbnail of another picture"),
        ("c.HEIC", ".heic is not read; save it as PNG or JPEG"),
        ("c.psd", ".psd is not read; save it as PNG or JPEG"),
        ("notes.docx", "neither a picture nor a caption"),
        ("sub/metadata.jsonl", "not read here; put it at the top of the folder"),
    ],
)
def test_what_is_left_out_is_named_with_its_reason(photos, name, reason):
    add(photos, name)
    found = why(photos)
    assert list(found.values()) == [reason] and name.startswith(next(iter(found)))
    assert names(listed(photos).pictures, photos) == ["a.jpg", "b.png"]


def test_a_picture_is_no_mask_for_its_name_alone(photos):
    add(photos, "carnival_mask.png", "view-1920x1080.jpg", "masks/venice.png")
    assert len(listed(photos).pictures) == 5 and not why(photos)


def test_what_a_run_wrote_is_never_a_training_picture(photos):
    out = photos / "tuned" / "corgi"
    add(out, "previews/step-00000.png")
    assert why(photos, out) == {"tuned/corgi": "where this run writes (--out)"}
    mark(out)
    mark(out)
    assert why(photos) == {"tuned/corgi": "a dopsd run wrote it"}
    add(photos, "old/preset.yaml", "old/checkpoints/x.png", "stopped/features/x.png", "stopped/previews/x.png")
    assert why(photos) == dict.fromkeys(("old", "stopped", "tuned/corgi"), "a dopsd run wrote it")
    assert names(listed(photos).pictures, photos) == ["a.jpg", "b.png"]
    with pytest.raises(UserError, match="a dopsd run wrote it; name the folder of the pictures"):
        listed(out)
    with pytest.raises(UserError, match="--out is the folder of the pictures itself; choose another"):
        listed(photos, photos / "sub" / "..")


def test_links_are_followed_once_and_loops_end(photos, tmp_path):
    add(tmp_path / "elsewhere", "c.png")
    (photos / "more").symlink_to(tmp_path / "elsewhere")
    (photos / "again").symlink_to(tmp_path / "elsewhere")
    (photos / "loop").symlink_to(photos)
    (photos / "up").symlink_to(tmp_path)
    (tmp_path / "elsewhere" / "back").symlink_to(photos)
    (photos / "gone.png").symlink_to(tmp_path / "nothing.png")
    (photos / "round.png").symlink_to(photos / "round.png")
    os.mkfifo(photos / "pipe.png")
    seen = "a link to a folder that is looked through itself"
    assert why(photos) == {
        "again/back": seen, "gone.png": "a link to nothing", "loop": seen, "more": seen, "up": seen,
        "round.png": "a link to nothing", "pipe.png": "no file (a pipe or a device)",
    }  # fmt: skip
    assert names(listed(photos).pictures, photos) == ["a.jpg", "again/c.png", "b.png"]


def test_a_folder_that_cannot_be_listed_is_an_error_and_not_empty(photos, monkeypatch):
    add(photos, "sub/c.png")
    scandir = os.scandir

    def refused(folder):
        if Path(folder).name == "sub":
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(listing.os, "scandir", refused)
    with pytest.raises(UserError, match=r"sub: cannot be listed \(Permission denied\); mend its rights"):
        listed(photos)


def test_a_name_in_no_encoding_is_left_out_and_can_be_printed(photos):
    Image.new("RGB", (32, 32)).save(photos / "x.png")
    os.rename(os.fsencode(photos / "x.png"), os.fsencode(photos) + b"/\xff\xfe.png")
    found = listed(photos)
    assert [reason for _, reason in found.left] == ["a name that is not UTF-8; rename it"]
    assert "".join(grouped(found.left, photos)).encode("utf-8")


def test_reasons_are_grouped_with_the_first_of_many():
    left = [(Path(f"d/{i}.txt"), "no") for i in range(5)] + [(Path("d/z"), "other")]
    assert grouped(left, Path("d")) == ["0.txt, 1.txt, 2.txt and 2 more: no", "z: other"]
