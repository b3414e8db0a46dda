"""`dopsd probe` on tiny random models of both real classes, and what it refuses before it draws."""

import sys

import pandas as pd
import pytest
import tiny
from PIL import Image

from dopsd.commands import main as cli
from dopsd.commands import probe as job
from dopsd.config.params import load_preset
from dopsd.evaluation.probe_folder import CONTEXTS
from dopsd.support.errors import UserError


@pytest.fixture
def dino(tmp_path):
    return {"dino": {"model": str(tiny.dino(tmp_path / "dino", 3))}}


def preset_of(kind, all_settings, instruments):
    given = load_preset("zimage" if kind == "zimage" else "klein-4b", ["tune.size=64", "tune.nfe=2"])
    return given.model_copy(update={"backbone": all_settings[kind], "instruments": instruments})


@pytest.mark.parametrize("kind", ["zimage", "klein"])
def test_every_context_is_drawn_scored_and_shown(kind, items, dino, all_settings, tmp_path, capsys):
    preset, out = preset_of(kind, all_settings, dino), tmp_path / "out"
    said = job.probe(preset, items, [], 2, 0, out, ["2 pictures taken"])
    table = pd.read_csv(out / "probe.csv")
    assert list(table.context) == list(CONTEXTS) and set(table.score) == {"dino_distance"} and set(table.n) == {2}
    card = (out / "README.md").read_text()
    assert said[0] in card and "Random weights" in card and "2 pictures taken" in card and "(probe.png)" in card
    assert "picture + caption (teacher)" in capsys.readouterr().out and said[2].startswith(str(out))
    with Image.open(out / "probe.png") as sheet:
        assert sheet.height > 7 * job.SIDE
    with pytest.raises(UserError, match=r"probe\.csv: of a probe before this one; name another folder with --out"):
        job.probe(preset, items, [], 1, 0, out)
    out = tmp_path / "again"
    again = job.probe(preset, items, [], 2, 0, out)  # the same numbers
    assert again[:2] == said[:2] and pd.read_csv(out / "probe.csv").equals(table)


def test_pictures_of_something_else_may_be_given(items, dino, all_settings, tmp_path):
    preset = preset_of("zimage", all_settings, dino)
    job.probe(preset, items, items[:1], 1, 0, tmp_path / "a")
    job.probe(preset, items, [], 1, 0, tmp_path / "b")
    mine, world = (pd.read_csv(tmp_path / name / "probe.csv").set_index("context").value for name in "ab")
    assert mine["image_text"] == world["image_text"] and mine["wrong_image_text"] != world["wrong_image_text"]


def test_without_an_instrument_of_pictures_nothing_is_drawn(items, all_settings, tmp_path):
    with pytest.raises(UserError, match="instruments: none compares a picture with those of the folder; add dino"):
        job.probe(preset_of("zimage", all_settings, {}), items, [], 1, 0, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_probed_is_one_line(monkeypatch, tmp_path, capsys):
    def said(*options):
        monkeypatch.setattr(sys, "argv", ["dopsd", "probe", "--backbone", "mini-turbo", *options])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert stopped.value.code == 1
        return capsys.readouterr().err

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.png").write_text("x")
    assert "error: none: " in said("--images", "none")
    assert "did you mean 'model'?" in said("--images", "none", "--set", "instruments.mini_clip.modell=x")
    assert "--out mine: holds files that are not of a run of this" in said("--images", "mine", "--out", "mine")
    assert [f.name for f in tmp_path.iterdir()] == ["mine"]
