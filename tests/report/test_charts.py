"""Charts of hand-made cells, whose points are known in advance."""

import pytest

from dopsd.config.claims import Claim
from dopsd.config.study import Compared
from dopsd.report import charts, claims
from dopsd.report.along import Trainings
from dopsd.report.names import label
from dopsd.report.palette import BEHIND, REFERENCES, colour

ROWS = ["untouched", "described", "base", "sft", "dopsd"]
FIDELITY = "concept_fidelity"
FORWARDS = {"sft": 3, "dopsd": 16}
KINDS = {"beacon": "object", "fresco": "style"}
CLAIM = {"claim": "x", "paper": "nowhere", "must_hold": None, "must_fail": None, "against": "nothing"}


def trainings(cells, trained=("sft", "dopsd")):
    return Trainings(cells, trained, FIDELITY, 4, FORWARDS)


def answered(cells, *claimed):
    asked = [Claim.model_validate(CLAIM | {"id": f"x{k}"} | fields) for k, fields in enumerate(claimed)]
    return claims.answers(asked, trainings(cells), KINDS, Compared(method="dopsd", baseline="sft"))


def points(axes, method):
    """{x: y} of a method's line."""
    lines = [line for line in axes.lines if line.get_color() == colour(method) and len(line.get_xdata()) > 1]
    return dict(zip(*(data.tolist() for data in lines[-1].get_data()), strict=True))


def dots(axes, k):
    """The concepts' dots of the row of this number."""
    return [line.get_xdata() for line in axes.lines if list(line.get_ydata()[:1]) == [k + 0.22]]


def test_methods_has_a_panel_a_score_and_each_concept_a_dot(cells):
    figure = charts.methods(trainings(cells), ROWS, (), FIDELITY)
    panels = {axes.get_title().replace("\n", " "): axes for axes in figure.axes if axes.get_title()}
    assert list(panels) == [title.replace("\n", " ") for title in charts.HEADLINE.values()]
    axes = panels["new scenes: concept fidelity"]
    assert [label.get_text() for label in axes.get_yticklabels()][3:] == ["SFT", "D-OPSD"]
    (sft,), (base,) = dots(axes, 3), dots(axes, 2)
    assert list(sft) == pytest.approx([0.59, 0.59]) and list(base) == pytest.approx([0.15, 0.15])
    assert axes.containers[3].lines[0].get_xdata()[0] == pytest.approx(0.59, abs=1e-3)
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first row is on top


def test_a_row_without_a_score_has_no_dot_in_its_panel(cells):
    bare = {
        key: {
            s: {name: v for name, v in row.items() if key[0] != "base" or "kid" not in name} for s, row in steps.items()
        }
        for key, steps in cells.items()
    }
    figure = charts.methods(trainings(bare), ROWS, (), FIDELITY)
    kid = next(axes for axes in figure.axes if "KID" in axes.get_title())
    assert dots(kid, 1) and not dots(kid, 2) and dots(kid, 3)


def test_a_bar_is_a_line_where_a_claim_is_about_the_score_of_a_row(cells):
    found = answered(
        cells,
        {"score": "blur_added", "bar": 0.2, "of": "method"},
        {"score": "blur_added", "bar": 0.2, "of": "baseline", "at_most": True},
        {"score": "blur_added", "bar": 0.7, "of": "difference"},
        {"score": "fidelity_gain", "bar": 0.3, "of": "method"},
    )
    assert charts.bars(found, "blur_added") == [0.2] and charts.bars(found, "adherence") == []
    figure = charts.methods(trainings(cells), ROWS, found, FIDELITY)
    dashed = {
        axes.get_title(): [x.get_xdata()[0] for x in axes.lines if x.get_linestyle() == "--"] for axes in figure.axes
    }
    assert {title: xs for title, xs in dashed.items() if xs} == {charts.HEADLINE["blur_added"]: [0.2]}


@pytest.mark.parametrize(
    ("cost", "steps"),
    [("step", {"sft": (20, 40), "dopsd": (20, 40)}), ("forwards", {"sft": (60, 120), "dopsd": (320, 640)})],
)
def test_trajectory_runs_over_steps_or_over_forwards(cells, cost, steps):
    figure = charts.trajectory(trainings(cells), FIDELITY, ("dopsd", "sft"), cost)
    axes = figure.axes[0]
    assert points(axes, "sft") == pytest.approx(dict(zip(steps["sft"], (0.57, 0.59), strict=True)), abs=1e-3)
    assert points(axes, "dopsd") == pytest.approx(dict(zip(steps["dopsd"], (0.77, 0.79), strict=True)), abs=1e-3)
    assert axes.get_xscale() == "log" and axes.get_xlabel().replace("\n", " ") == charts.COSTS[cost]
    dotted = {line.get_color(): line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == ":"}
    levels = {REFERENCES[row][0]: 0.15 for row in ("untouched", "described")}
    assert dotted == pytest.approx(levels, abs=2e-3)


def test_every_method_beside_the_pair_has_a_row_with_the_others_in_grey(cells):
    more = {
        ("pso" if key[0] == "sft" else "off_policy", *key[1:]): steps
        for key, steps in cells.items()
        if key[0] in ("sft", "dopsd")
    }
    four = Trainings(
        cells | more, ("sft", "pso", "dopsd", "off_policy"), FIDELITY, 4, dict(FORWARDS, pso=3, off_policy=16)
    )
    figure = charts.trajectory(four, FIDELITY, ("dopsd", "sft"))
    across = len(charts.ALONG)
    rows = [figure.axes[k] for k in range(0, 3 * across, across)]
    assert len(figure.axes) == 3 * across
    assert [axes.get_ylabel() for axes in rows] == ["SFT\nD-OPSD", label("pso"), label("off_policy")]
    for axes, about in zip(rows, (("sft", "dopsd"), ("pso",), ("off_policy",)), strict=True):
        marked = [line.get_color() for line in axes.lines if line.get_marker() == "o"]
        assert marked == [colour(m) for m in about] and len(axes.collections) == len(about)  # a band each
        grey = [line for line in axes.lines if line.get_color() == BEHIND]
        assert len(grey) == 2 - (about[0] in ("pso", "off_policy"))
    named = {text.get_text() for text in rows[0].texts}
    assert named == {"SFT", "D-OPSD", "untouched", "described"} and not rows[1].texts
    assert rows[1].get_ylim() == rows[0].get_ylim() == rows[2].get_ylim()


def test_openness_joins_the_main_openness_and_the_others():
    def cells(blur, **more):
        steps = {("sft", "beacon", 0): {40: {"blur_read": blur, "quality_blur_read@4": blur / 2}}}
        return steps | {("untouched", "beacon", 0): {0: {"blur_read": 0.1}}}

    figure = charts.openness(cells(0.8), {0.5: cells(0.6), 1.0: cells(0.2)}, 0.15, 4, ["untouched", "sft", "dopsd"])
    assert [axes.get_title() for axes in figure.axes] == [charts.OPEN["blur_read"], charts.OPEN["quality_blur_read"]]
    new, ordinary = figure.axes
    assert points(new, "sft") == pytest.approx({0.15: 0.8, 0.5: 0.6, 1.0: 0.2})
    assert points(ordinary, "sft") == pytest.approx({0.15: 0.4, 0.5: 0.3, 1.0: 0.1})
    assert [text.get_text() for text in ordinary.texts] == ["SFT"]  # untouched has none of it


def test_a_study_that_measures_none_of_it_has_no_such_chart(cells):
    bare = {key: {s: {"dino_distance": 0.5} for s in steps} for key, steps in cells.items()}
    measured = Trainings(bare, ("sft", "dopsd"), "nothing", 4, FORWARDS)
    assert charts.methods(measured, ROWS, (), "nothing") is None and charts.trajectory(measured, "nothing") is None
    assert charts.openness(cells, {}, 0.15, 4, ROWS) is None
    assert charts.trajectory(trainings(cells, ()), FIDELITY) is None
    last = {key: {max(steps): steps[max(steps)]} for key, steps in cells.items()}
    assert charts.trajectory(trainings(last), FIDELITY) is None  # of one checkpoint there is no line
