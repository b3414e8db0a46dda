"""Where names stand at the ends of lines, and what stands around a chart."""

import pytest
from matplotlib.text import Text

from dopsd.report import layout
from dopsd.report.layout import End, ends, spread


def test_panels_stand_in_rows_across_the_whole_width():
    figure, every = layout.panels(7, 4, 3)
    assert list(figure.get_size_inches()) == [layout.WIDTH, 6] and len(every) == 7 and not figure.axes[7].axison
    assert len(layout.panels(2, 4, 3)[0].axes) == 2


def test_names_are_moved_no_more_than_they_must_be():
    assert spread([0.2, 0.8], 0.1) == pytest.approx([0.2, 0.8])
    assert spread([0.52, 0.48], 0.1) == pytest.approx([0.55, 0.45])  # their order stays, their mean too
    assert spread([0.0, 0.0, 1.0], 0.1) == pytest.approx([0.05, 0.15, 0.95])
    crowded = sorted(spread([0.9] * 8, 0.1))
    assert crowded == pytest.approx([0.25 + 0.1 * k for k in range(8)])
    assert spread([], 0.1) == []


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_names_stand_right_of_the_last_line_where_no_tick_is(scale):
    figure, (axes,) = layout.panels(1, 1, 3)
    axes.plot([1, 40], [0.0, 1.0])
    axes.plot([1, 100], [0.0, 0.0])  # not named, so names may lie over it
    axes.set_xscale(scale)
    before = axes.get_ylim()
    ends(axes, [End(40, 1.0, "SFT", "red"), End(None, 1.0, "level", "grey")], (3.0, 2.0))
    figure.draw_without_rendering()
    assert axes.get_ylim() == before and max(axes.get_xticks()) <= 110
    to_pixels = axes.transData.transform
    box = axes.get_window_extent()
    for text in axes.texts:
        extent = Text.get_window_extent(text)  # without the line that leads to it
        assert to_pixels((40, 0))[0] < extent.x0 and extent.x1 < box.x1 and box.y0 < extent.y0 < extent.y1 < box.y1
    (first, second) = (Text.get_window_extent(text) for text in axes.texts)
    assert not first.overlaps(second)


def test_a_chart_is_told_what_it_shows_and_of_what():
    figure, _ = layout.panels(2, 2, 3)
    layout.placed(figure, "A title?", "Study full. " * 30)
    assert figure.get_suptitle() == "A title?" and figure.get_supxlabel().startswith("Study full.")
    assert figure.get_supxlabel().count("\n") >= 2 and figure.get_figheight() > 3.5
    figure.draw_without_rendering()
    low, high = (figure._supxlabel.get_window_extent(), figure._suptitle.get_window_extent())
    assert low.y1 <= figure.axes[0].get_tightbbox().y0 and figure.axes[0].get_tightbbox().y1 <= high.y0
    assert low.x1 <= figure.bbox.x1
