from dopsd.support import reproduced


def number(value, low, high):
    return {"value": value, "low": low, "high": high, "n": 10}


def test_a_number_may_move_within_its_interval_and_no_further():
    committed = {"a": {"b": number(1.0, 0.6, 1.4)}}
    assert reproduced.differences(committed, {"a": {"b": number(1.39, 0, 2)}}) == []
    (line,) = reproduced.differences(committed, {"a": {"b": number(1.5, 0, 2)}})
    assert line.startswith("a.b: 1 -> 1.5")


def test_small_and_certain_numbers_have_a_floor():
    assert reproduced.tolerance(number(0.0, 0.0, 0.0)) == 0.02
    assert reproduced.tolerance(number(100.0, 100.0, 100.0)) == 10.0


def test_missing_new_and_undefined_numbers_are_told():
    lines = reproduced.differences({"a": number(1, 1, 1)}, {"b": number(1, 1, 1)})
    assert lines == ["a: only committed", "b: only regenerated"]
    assert reproduced.differences({"a": number(1, 1, 1)}, {"a": number(float("nan"), 1, 1)})


def test_a_tables_means_are_numbers_with_their_intervals():
    text = "score,method,value,low,high,n,difference\nadherence,sft,0.9,0.8,1.0,15,\nadherence,dopsd,0.5,,,1,-0.4\n"
    out = reproduced.numbers_of(text, "reports/tables/summary.csv")
    assert out == {
        "adherence of sft": {"value": 0.9, "low": 0.8, "high": 1.0, "n": 15.0},
        "adherence of dopsd": {"value": 0.5, "low": None, "high": None, "n": 1.0},
    }
    assert abs(reproduced.tolerance(out["adherence of sft"]) - 0.1) < 1e-9
    assert reproduced.numbers_of('{"a": {"value": 1, "low": 0, "high": 2, "n": 3}}', "x.json")["a"]["value"] == 1
