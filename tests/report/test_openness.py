import pandas as pd
import pytest

from dopsd.report import openness

MAIN = float("nan")


def long(*rows):
    """A long table from (method, concept, said, score, value), all of new scenes."""
    out = []
    for method, concept, said, score, value in rows:
        who = {"method": method, "concept": concept, "seed": 0, "step": 40 if method == "sft" else 0, "said": said}
        who |= {"kind": "new", "nfe": 4, "guidance": 0.0, "prompt": "p", "group": "p", "score": score, "value": value}
        out.append(who)
    return pd.DataFrame(out)


TABLE = long(
    ("sft", "beacon", MAIN, "adherence", 0.2),
    ("sft", "fresco", MAIN, "adherence", 0.4),
    ("sft", "beacon", 1.0, "adherence", 0.7),
    ("sft", "fresco", 1.0, "adherence", 0.7),
    ("sft", "beacon", 1.0, "smell", 0.7),
    ("sft", "beacon", 0.5, "adherence", 0.6),
    ("untouched", "beacon", MAIN, "blur_read", 0.1),
    ("untouched", "fresco", MAIN, "blur_read", 0.3),
)


@pytest.fixture
def cells():
    return openness.flat(TABLE, 4, 16)


def test_each_openness_has_its_rows(cells):
    others = openness.others(TABLE, 4, 16)
    assert list(others) == [0.5, 1.0]
    table = openness.openness(cells, others, 0.15, 4)
    assert list(table) == openness.COLUMNS
    rows = [(r.method, r.said, r.score, round(r.value, 3), r.n) for r in table.itertuples()]
    assert rows == [
        ("sft", 0.15, "adherence", 0.295, 2),
        ("untouched", 0.15, "blur_read", 0.2, 2),
        ("sft", 0.5, "adherence", 0.6, 1),
        ("sft", 1.0, "adherence", 0.7, 2),
    ]


def test_a_table_of_one_openness_has_no_rows(cells):
    table = openness.openness(cells, openness.others(TABLE[TABLE.said.isna()], 4, 16), 0.15, 4)
    assert table.empty and list(table) == openness.COLUMNS


def test_what_is_drawn_at_another_openness_stands_beside_the_last_step(cells):
    out = openness.beside(cells, openness.others(TABLE, 4, 16))
    assert out["sft", "beacon", 0][40] == {"adherence": 0.2, "said_0.5_adherence": 0.6, "said_1_adherence": 0.7}
    assert out["sft", "fresco", 0][40] == {"adherence": 0.4, "said_1_adherence": 0.7}
    assert "said_1_adherence" not in cells["sft", "beacon", 0][40]
    asked = openness.beside(cells, openness.others(TABLE, 4, 16), {"said_1_smell", "smell"})
    assert asked["sft", "beacon", 0][40] == out["sft", "beacon", 0][40] | {"said_1_smell": 0.7}
