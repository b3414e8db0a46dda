import pandas as pd
import pytest

from dopsd.report import front, palette, reported
from dopsd.report.along import Trainings


def test_the_front_is_what_no_other_beats_in_both():
    points = {"a": (0.2, 0.9), "b": (0.5, 0.8), "c": (0.5, 0.7), "d": (0.8, 0.1), "e": (0.1, 0.9)}
    assert front.front(points, more=True) == ["a", "b", "d"]
    assert front.front(points, more=False) == ["d"]
    assert front.front({"a": (0.2, 0.9), "b": (0.2, 0.9)}, more=True) == ["a", "b"]  # equal ones beat none


def summary(values: dict[str, float], score: str) -> pd.DataFrame:
    rows = [{"score": score, "method": m, "value": v, "low": v - 0.1, "high": v + 0.1} for m, v in values.items()]
    return pd.DataFrame(rows)


def test_the_papers_rows_stand_beside_ours_and_their_order_is_compared():
    same = {
        "untouched": 0.1,
        "sft": 0.2,
        "base_lora": 0.3,
        "dreambooth": 0.4,
        "pso": 0.6,
        "dopsd": 0.6,
        "sft_equal": 0.9,
    }
    found = reported.table(summary(same, "concept_fidelity"), "lora")
    assert list(found.columns) == reported.COLUMNS and list(found.row) == list(same)[:-1]
    assert found.loc[found.row == "sft", "reported"].item() == 1.3293
    (order,) = reported.orders(found, "lora")
    assert (order.score, order.rho, order.n) == ("VLM-J", pytest.approx(1.0), 6)
    text = reported.in_words(found, "lora")
    assert "VLM-J ^ (reported)" in text and "| 1.3293" in text and "0.200 [0.100, 0.300]" in text


def test_where_less_is_better_there_and_more_here_the_order_is_turned():
    nearest = {"untouched": 0.1, "sft": 0.2, "base_lora": 0.3, "dreambooth": 0.4, "dopsd": 0.5, "pso": 0.6}
    (order,) = reported.orders(reported.table(summary(nearest, "clip_i"), "lora"), "lora")
    assert order.score == "DINO-D" and order.rho == pytest.approx(1.0)


def test_full_fine_tuning_has_a_table_of_its_own():
    farther = {"untouched": 50.0, "sft": 70.0, "pso": 90.0, "dopsd": 30.0}
    found = reported.table(summary(farther, "domain_frechet"), "full")
    assert found.loc[found.row == "dopsd", "reported"].item() == 40.49
    (order,) = reported.orders(found, "full")
    assert (order.score, order.rho) == ("FID", pytest.approx(1.0))
    assert "said_1_quality_adherence" in reported.asked("full") and "domain_frechet" not in reported.asked("lora")


def test_few_rows_make_no_order_and_fewer_no_table():
    found = reported.table(summary({"untouched": 0.1, "sft": 0.2, "dopsd": 0.6}, "concept_fidelity"), "lora")
    assert "0.600 [" in reported.in_words(found, "lora") and reported.orders(found, "lora") == []
    assert reported.in_words(found[found.row != "sft"], "lora") == ""


@pytest.mark.parametrize("tune", reported.FILES)
def test_the_papers_numbers_are_whole(tune):
    said = reported.load(tune)
    assert all(row.keys() == said.columns.keys() for row in said.rows.values())
    assert {c.better for c in said.columns.values()} | {c.which for c in said.columns.values()} <= {"lower", "higher"}


def test_a_family_has_its_rows_of_panels_and_names_no_more_than_it_can(cells):
    more = {(m, *key[1:]): steps for m in ("pso", "dopsd_mu") for key, steps in cells.items() if key[0] == "sft"}
    trained = ("sft", "dopsd", "pso", "dopsd_mu")
    measured = Trainings(cells | more, trained, "concept_fidelity", 4, dict.fromkeys(trained, 3))
    found, rows = front.table(measured, "concept_fidelity"), ["untouched", "described", *trained]
    figure = front.figure(found, measured, rows, "concept_fidelity", ("dopsd", "sft"))
    across = found.against.nunique()
    first = figure.axes[::across]
    assert [axes.get_ylabel() for axes in first] == [palette.family(m) for m in ("sft", "dopsd", "pso")]
    named = [{text.get_text() for text in axes.texts} for axes in first]
    assert named[1:] == [{"SFT", "D-OPSD", "D-OPSD, mu"}, {"SFT", "D-OPSD", "PSO"}]  # the pair is named in all
    assert named[0] == {"SFT", "D-OPSD", "untouched", "described"}  # and rows without training once
    many = [f"m{k}" for k in range(front.MOST + 2)]
    assert [len(group) for group in front._groups(many)] == [front.MOST, 2]
    assert front.figure(found.loc[found.method != "pso"].query("method != 'dopsd_mu'"), measured, rows, "x", ()) is None
