import numpy as np
import pytest
from PIL import Image

from dopsd.report import figures, grids, tables
from dopsd.support import paths
from dopsd.support.errors import UserError


def cells(repository):
    return tables.read_cells(repository.grid.methods, repository.grid.concepts, repository.grid.seeds)


def test_tiles_are_taken_by_prompt(repository):
    strip = figures.read_tiles(paths.sheet_file(paths.samples("sft", "beacon", 0), 40, "scenes", 4), 3, every=4)
    assert strip.shape == (64, 192, 3)
    assert [int(strip[0, 64 * k, 0]) for k in range(3)] == [0, 40, 80]  # tiles 0, 4 and 8 (of the second row)


def test_the_comparison_magnifies_without_smoothing_and_shows_every_method(repository, tmp_path):
    figure = figures.comparison(repository.grid.concepts, {"untouched": 0, "sft": 40, "dopsd": 40}, 0, 4, noises=2)
    assert [a.get_title() for a in figure.axes[:4]] == ["Training images", "Untouched", "SFT", "D-OPSD"]
    assert len(figure.axes) == 8
    grids.save(figure, tmp_path / "f.png")
    pixels = np.asarray(Image.open(tmp_path / "f.png").convert("RGB")).reshape(-1, 3)
    shown = {tuple(p) for p in np.unique(pixels, axis=0).tolist()}
    assert (255, 0, 0) in shown and (20, 20, 20) in shown and (40, 40, 40) in shown
    assert (pixels == (255, 0, 0)).all(1).sum() == 2 * 3 * 192 * 192  # two concepts, three training pictures


def test_fidelity_retention_has_a_line_a_method_through_its_steps(repository):
    figure = figures.fidelity_retention(tables.comparison(cells(repository), repository.kinds))
    lines = {c.get_label(): c.lines[0].get_xdata() for c in figure.axes[0].containers}
    assert set(lines) == {"Untouched", "Untouched, described", "SFT", "D-OPSD"}
    assert list(lines["SFT"]) == pytest.approx([0.57, 0.59])


def test_nfe_uses_only_cells_with_the_full_range_and_no_described(repository):
    figure = figures.nfe(cells(repository))
    lines = {c.get_label(): c.lines[0] for c in figure.axes[0].containers}
    assert set(lines) == {"Untouched", "SFT", "D-OPSD"}
    assert list(lines["SFT"].get_xdata()) == [1, 4, 32]
    assert list(lines["SFT"].get_ydata()) == pytest.approx([0.501, 0.504, 0.532])  # seed 0 only


def test_loss_draws(repository, tmp_path):
    grid = repository.grid
    grids.save(figures.loss(tables.losses(grid.trained, grid.concepts, grid.seeds)), tmp_path / "loss.png")
    assert Image.open(tmp_path / "loss.png").size[0] == 1000


def test_the_probe_names_every_row_and_shows_text_only_once(repository):
    Image.new("RGB", (64 * 3, 64 * 8), "blue").save(paths.PROBE_SHEET)  # target, 4 contexts, 3 of the other encoder
    figure = figures.probe(["text", "image_text", "wrong_image_text", "image"], ["eye", "plain"])
    assert len(figure.axes) == 8
    names = [text.get_text() for text in figure.texts]
    assert names.count("text only") == 1 and sum("(plain)" in name for name in names) == 3


def test_prompts_has_a_panel_a_model_and_says_what_is_missing(repository):
    paths.PROMPT_SHEETS.mkdir(parents=True)
    for who in figures.PROMPT_PANELS:
        Image.new("RGB", (128, 128), "red").save(paths.PROMPT_SHEETS / f"{who}.png")
    assert [a.get_title() for a in figures.prompts().axes] == list(figures.PROMPT_PANELS.values())
    (paths.PROMPT_SHEETS / "turbo_2.png").unlink()
    with pytest.raises(UserError, match=r"turbo_2\.png: missing; run `dvc repro miniature`"):
        figures.prompts()


def test_the_recipe_has_a_panel_a_part(tmp_path):
    for part in ("base", "turbo"):
        rows = "".join(f"{i},{1 / (i + 1)},1.0,1.0,{60 * i}\n" for i in range(4))
        (tmp_path / f"{part}.csv").write_text("step,loss,grad_norm,learning_rate_scale,seconds\n" + rows)
    titles = [a.get_title() for a in figures.recipe(tmp_path).axes]
    assert titles[:2] == ["base, 3.0 minutes", "turbo, 3.0 minutes"]
    with pytest.raises(UserError, match="no loss curves"):
        figures.recipe(tmp_path / "nothing")


def test_equal_figures_are_equal_files(repository, tmp_path):
    for name in ("a", "b"):
        grids.save(figures.nfe(cells(repository)), tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_missing_sheet_is_one_clear_error(repository):
    paths.sheet_file(paths.samples("sft", "beacon", 0), 40, "scenes", 4).unlink()
    with pytest.raises(UserError, match=r"scenes-4\.png: missing; run `dvc repro`"):
        figures.comparison(["beacon"], {"sft": 40}, 0, 4, noises=2)
