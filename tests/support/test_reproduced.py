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
