import pandas as pd
import pytest
from PIL import Image

from dopsd.report import figures, grids, palette, tables
from dopsd.support import paths
from dopsd.support.errors import UserError

KINDS = {"beacon": "object", "fresco": "style"}


PAIR = ("dopsd", "sft")
TRAINED = ("sft", "dopsd")


def curve(axes, method):
    """The points of a method's line: (x, y)."""
    (line,) = [line for line in axes.lines if line.get_color() == palette.colour(method) and len(line.get_xdata()) > 1]
    return [data.tolist() for data in line.get_data()]


def test_fidelity_retention_has_a_line_a_method_through_its_steps(cells):
    figure = figures.fidelity_retention(tables.comparison(cells, KINDS, 4), "concept_fidelity", TRAINED, PAIR)
    names = {text.get_text() for text in figure.axes[0].texts}
    assert names == {"untouched", "described", "base", "SFT", "D-OPSD"}
    assert curve(figure.axes[0], "sft")[0] == pytest.approx([0.57, 0.59], abs=1e-3)


def test_a_row_without_a_panels_score_is_not_in_it(cells):
    scene = {("teacher", "beacon", 0): {0: {"concept_fidelity": 0.9, "contrast": 1.0}}}
    table = tables.comparison(cells | scene, KINDS, 4)
    figure = figures.fidelity_retention(table, "concept_fidelity", TRAINED, PAIR)
    drawn = [{text.get_text() for text in axes.texts} for axes in figure.axes]
    assert ["teacher" in names for names in drawn] == [False, False, True, False]  # contrast is the third


def test_nfe_uses_only_cells_with_the_full_range_and_no_described(cells):
    axes = figures.nfe(cells, TRAINED, PAIR).axes[0]
    assert {text.get_text() for text in axes.texts} == {"untouched", "base", "SFT", "D-OPSD"}
    steps, values = curve(axes, "sft")
    assert steps == [1, 4, 32] and values == pytest.approx([0.501, 0.504, 0.532])  # seed 0 only


def test_loss_draws(repository, tmp_path):
    grid = repository.grid
    grids.save(figures.loss(tables.losses(grid.trained, grid.concepts, grid.seeds)), tmp_path / "loss.png")
    assert Image.open(tmp_path / "loss.png").size == (1000, 200)


def test_means_are_over_concepts_whose_seeds_are_averaged():
    table = pd.DataFrame(
        [("beacon", 0, 20, 0.2), ("beacon", 1, 20, 0.4), ("fresco", 0, 20, 0.5), ("fresco", 0, 40, -1.0)],
        columns=["concept", "seed", "step", "few_step_contrast"],
    )
    found = figures.means(table, "step", "few_step_contrast")
    assert found.step.tolist() == [20] and found.n.tolist() == [2]  # a ratio below 0 has no logarithm
    assert found.value[0] == pytest.approx((0.3 * 0.5) ** 0.5) and found.low[0] < found.value[0]


def test_the_probe_names_every_row_and_shows_text_only_once(repository):
    Image.new("RGB", (64 * 3, 64 * 8), "blue").save(paths.PROBE_SHEET)  # target, 4 contexts, 3 of the other encoder
    figure = figures.probe(["text", "image_text", "wrong_image_text", "image"], ["eye", "plain"])
    assert len(figure.axes) == 8
    names = [text.get_text() for text in figure.texts]
    assert names.count("text only") == 1 and sum("(plain)" in name for name in names) == 3


def test_the_recipe_has_a_panel_a_part(tmp_path):
    for part in ("base", "turbo"):
        rows = "".join(f"{i},{1 / (i + 1)},1.0,1.0,{60 * i}\n" for i in range(4))
        (tmp_path / f"{part}.csv").write_text("step,loss,grad_norm,learning_rate_scale,seconds\n" + rows)
    titles = [a.get_title() for a in figures.recipe(tmp_path).axes]
    assert titles[:2] == ["base, 3.0 minutes", "turbo, 3.0 minutes"]
    with pytest.raises(UserError, match="no loss curves"):
        figures.recipe(tmp_path / "nothing")


def test_a_study_that_measures_none_of_it_has_no_such_figure(cells):
    bare = {key: {s: {"dino_distance": 0.5} for s in steps} for key, steps in cells.items()}
    table = tables.comparison(bare, {"beacon": "object", "fresco": "style"}, 4)
    assert figures.nfe(bare, TRAINED, PAIR) is None
    assert figures.fidelity_retention(table, "dino_distance", TRAINED, PAIR) is None


def test_equal_figures_are_equal_files(cells, tmp_path):
    for name in ("a", "b"):
        grids.save(figures.nfe(cells, TRAINED, PAIR), tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
