"""The seed floor: what other seeds move a difference by."""

import pandas as pd
import pytest

from dopsd.evaluation.rows import Row
from dopsd.report import floor

ROWS = [
    Row(id=f"{kind}/{text}/{k}", kind=kind, group="0", text=text, height=64, width=64, noise=0)
    for k in range(2)
    for kind, text in (("rewrite", "a"), ("new", "a"), ("new", "b"))
]


def long(values: dict) -> pd.DataFrame:
    """The long table of {(method, concept, seed, noise): reward of new pictures}, +1 of one prompt and -1 of the other."""
    out = []
    for (method, concept, seed, k), value in values.items():
        who = {"method": method, "concept": concept, "seed": seed, "step": 5, "nfe": 4}
        rest = {"guidance": 0.0, "kind": "new", "said": float("nan"), "group": "0", "score": "reward"}
        out += [who | rest | {"prompt": f"new/{text}/{k}", "value": value + d} for text, d in (("a", 1.0), ("b", -1.0))]
    return pd.DataFrame(out)


def summary(score: str = "reward") -> pd.DataFrame:
    row = {"score": score, "method": "dopsd", "value": 0.0, "difference": 3.0}
    return pd.DataFrame([row | {"difference_low": 2.0, "difference_high": 4.0}])


def test_noises_of_one_prompt_are_numbered():
    assert floor.generations(ROWS) == {r.id: int(r.id[-1]) for r in ROWS}
    assert floor.crossed(ROWS) and not floor.crossed([*ROWS, ROWS[0].model_copy(update={"seed": 1})])


def test_the_floor_is_the_spread_of_seed_pairs_within_a_concept():
    values = {("sft", c, s, k): 0.0 for c in "xy" for s in (0, 1) for k in (0, 1)}
    differences = {"x": [1.0, 2.0, 3.0, 4.0], "y": [11.0, 12.0, 13.0, 14.0]}  # concepts differ more than seeds
    for c, each in differences.items():
        values |= {("dopsd", c, i // 2, i % 2): d for i, d in enumerate(each)}
    found = floor.table(long(values), ROWS, summary(), "sft", 4)
    (row,) = found.to_dict("records")
    assert row["floor"] == pytest.approx((5 / 3) ** 0.5) and row["over_floor"] == pytest.approx(3 / (5 / 3) ** 0.5)
    assert (row["training_seeds"], row["generation_seeds"]) == (2, 2)
    text = floor.in_words(found, "sft")["reward"]
    assert "+3.000 [+2.000, +4.000]" in text and "1.29" in text and "2.3" in text and "2 x 2" in text


def test_one_seed_pair_has_no_floor_and_a_score_of_a_set_no_noise():
    values = {(m, "x", 0, 0): 1.0 for m in ("sft", "dopsd")}
    assert floor.table(long(values), ROWS, summary(), "sft", 4).floor.isna().all()
    sets = long({(m, "x", s, 0): float(s * (m == "dopsd")) for m in ("sft", "dopsd") for s in (0, 1)})
    sets = sets.loc[sets.prompt.eq("new/a/0")].assign(kind="ordinary", prompt="", group="", score="retention_kid")
    (row,) = floor.table(sets, ROWS, summary("retention_kid@4"), "sft", 4).to_dict("records")
    assert row["floor"] == pytest.approx(0.5**0.5) and row["generation_seeds"] == 1
