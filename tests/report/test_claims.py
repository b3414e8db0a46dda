"""Claims of hand-made cells, whose answers are known in advance."""

import json
from pathlib import Path

import pandas as pd
import pytest
from made_up import cells_of
from scipy import stats

from dopsd.config import claims as asked_of
from dopsd.config.claims import Claim
from dopsd.config.study import Compared
from dopsd.report import answers, claimed, claims, claims_page, pairs
from dopsd.report.along import Trainings
from dopsd.report.ledger import Committed
from dopsd.report.power import power
from dopsd.stages import report as stage
from dopsd.support.errors import UserError

ROOT = Path(__file__).parents[2]
COMPARE = Compared(method="dopsd", baseline="sft")
KINDS = {"beacon": "object", "pebble": "object", "fresco": "style", "riso": "look"}
FORWARDS = {"sft": 3, "dopsd": 16, "dopsd_wrong": 16}
CLAIM = {"id": "x", "claim": "{method} x", "paper": "nowhere", "score": "fidelity_gain", "of": "method", "bar": 0.2}
CLAIM |= {"must_hold": None, "must_fail": None, "against": "less than {baseline}"}


def claim(**fields):
    return Claim.model_validate(CLAIM | fields)


def trainings(cells, trained=("sft", "dopsd")):
    return Trainings(cells, trained, "concept_fidelity", 4, FORWARDS)


def asked(cells, *of, compare=COMPARE, turbos=False, trained=("sft", "dopsd")):
    numbered = [c.model_copy(update={"id": f"{c.id}{k}"}) for k, c in enumerate(of)]
    return claims.answers(numbered, trainings(cells, trained), KINDS, compare, turbos)


def shown(found):
    """The answers as the report shows them."""
    records = answers.records(found, dict.fromkeys([a.claim.id for a in found], Committed("", "", [])))
    return claimed.table(records, answers.controls(found), False)


def verdicts(*args, **changes):
    return [answer.verdict for answer in asked(*args, **changes)]


def at_last(**rows):
    """Cells from {method: {score: [a value a concept of KINDS]}}, each value the seeds' where it is a pair; untrained but for
    `sft` and `dopsd`, which have one step."""
    out = {}
    for method, scores in {"untouched": {"blur_read": [0.0] * 4}, **rows}.items():
        for score, values in scores.items():
            for concept, value in zip(KINDS, values, strict=False):
                for seed, each in enumerate(value if isinstance(value, tuple) else (value, value)):
                    if each is not None:
                        key = (method, concept, seed)
                        step = 40 if method in FORWARDS else 0
                        out.setdefault(key, {step: {}})[step][score] = each
    return out


LAST = {"score": "blur_read", "at": "last", "bar": 1.0}


def test_a_claim_is_answered_by_the_whole_interval():
    above, below = claim(), claim(at_most=True)
    spans = ((0.2, 0.4), (0.1, 0.3), (0.0, 0.1))
    assert [claims.side(above, (0.2, *s)) for s in spans] == ["holds", "open", "fails"]
    assert [claims.side(below, (0.2, *s)) for s in ((0.2, 0.4), (0.21, 0.3), (0.0, 0.2))] == ["open", "fails", "holds"]
    assert claims.side(above, (0.2, None, None)) == "holds" and claims.side(above, (0.1, None, None)) == "fails"


def test_answers_take_each_number_from_its_place(cells):
    found = asked(
        cells,
        claim(),
        claim(score="binding", at="last"),
        claim(of="difference", score="leakage"),
        claim(at="steps", of="difference", score="step"),
        claim(at="forwards", of="baseline", score="step"),
    )
    number = [answer.found.number[0] for answer in found]
    matched = pairs.matched(pairs.pairs(trainings(cells), ["sft"]), "sft").set_index("score")
    assert number[0] == pytest.approx(0.44) and found[0].verdict == "holds"  # where dopsd has what sft reaches
    assert number[1] == pytest.approx(0.75) and found[1].found.n == 2
    assert found[2].found.number == pytest.approx(tuple(matched.loc["leakage", ["difference"] * 3]))
    assert number[3] == 0 and number[4] == pytest.approx(40)  # sft ends before dopsd, at 120 forwards
    other = asked(cells, claim(), compare=Compared(method="sft", baseline="dopsd"))[0]
    assert answers.table([other]).claim[0] == "SFT x" and other.found.number[0] == pytest.approx(0.44)


def test_a_claim_may_be_about_any_row():
    cells = at_last(teacher={"blur_read": [2.0, 3.0, 2.5]}, described={"blur_read": [0.5, 1.0, 1.5]})
    of = {"method": "teacher", "baseline": "described", **LAST}
    mine, less, base = asked(cells, claim(**of), claim(**of, of="difference"), claim(**of, of="baseline"))
    assert mine.found.number[0] == pytest.approx(2.5) and base.found.number[0] == pytest.approx(1.0)
    assert less.found.values["pebble", 1] == 2.0 and less.found.number[0] == pytest.approx(1.5)
    assert answers.table([mine]).claim[0] == "Teacher x"
    assert answers.records([mine], {"x0": Committed("abc", "", [])})[0]["against"] == "less than Untouched, described"
    with pytest.raises(UserError, match=r"claims\.yaml: x0: at: teacher is not trained.*write `last`"):
        asked(cells, claim(**of | {"at": "matched"}))
    assert verdicts(cells, claim(method="off_policy", at="matched")) == ["not measured"]  # a row that is not there


def test_a_claim_may_be_about_how_two_rows_go_together():
    mine, teachers = [(0.1, 0.3), 0.3, 0.4, 0.6], [0.5, 0.4, 0.8, 0.9]  # the first two change their places
    cells = at_last(
        teacher={"blur_read": teachers}, dopsd={"blur_read": mine}, again={"blur_read": [0.4, 0.3, 0.2, 0.1]}
    )
    of = {"of": "correlation", "baseline": "teacher", **LAST}
    apart, above, controlled = asked(
        cells, claim(**of | {"bar": -0.9}), claim(**of | {"bar": 0.0}), claim(**of | {"bar": 0.0}, must_fail="again")
    )
    value, low, high = apart.found.number
    assert value == pytest.approx(0.8) and apart.found.n == 4 and -0.9 < low < value < high < 1
    assert [a.verdict for a in (apart, above, controlled)] == ["holds", "open", "not decidable"]
    assert apart.p < 0.05 < above.p and controlled.controls[0].found.number[0] == pytest.approx(-0.8)
    assert power([apart]).empty  # no t test is about it
    record = answers.records([apart], {"x0": Committed("", "", [])})[0]
    page = claims_page.entry(record, answers.controls([apart]), turbos=False)
    assert "rank correlation of D-OPSD and Teacher, at the end" in page["asked"]
    assert verdicts(cells, claim(**of | {"bar": 0.0}, concepts="object")) == ["not measured"]  # two concepts
    with pytest.raises(ValueError, match="1 is no bar of a correlation"):
        claim(**of)


def test_a_claim_about_some_concepts_counts_those():
    cells = at_last(dopsd={"blur_read": [1.0, 2.0, 5.0, 7.0]})
    found = asked(cells, *(claim(**LAST, concepts=kind) for kind in ("all", "object", "style")))
    assert [(answer.found.n, answer.found.number[0]) for answer in found] == [(4, 3.75), (2, 1.5), (2, 6.0)]
    some = at_last(dopsd={"blur_read": [1.0, (2.0, None), 5.0], "contrast": [1.0, 1.0, 1.0]})
    assert verdicts(some, claim(**LAST)) == ["not measured"]  # pebble has it on one seed alone


def test_a_control_that_does_not_do_what_it_must_makes_a_claim_undecidable(cells):
    kept = {"score": "contrast_kept", "bar": 2.0}
    assert verdicts(
        cells,
        claim(**kept, must_hold="described"),  # is 1, and ought to hold a bar of 2
        claim(**kept | {"bar": 1.0}, must_hold="described"),
        claim(**kept | {"bar": 1.0}, must_fail="base"),  # scores as described does: does not fail
        claim(**kept, must_fail="base"),
        claim(score="smell"),
    ) == ["not decidable", "holds", "not decidable", "holds", "not measured"]
    gone = {k: v for k, v in cells.items() if k[0] != "base"}
    assert verdicts(gone, claim(**kept, must_fail="base")) == ["not decidable"]


def test_every_control_of_a_list_must_do_what_it_must():
    cells = at_last(
        dopsd={"blur_read": [2.0, 2.1, 2.2]},
        dopsd_wrong={"blur_read": [0.0, 0.1, 0.2]},
        base={"blur_read": [0.5, 1.5, 1.0]},
        described={"blur_read": [3.0, 3.0, 3.1]},
    )
    three = ("sft", "dopsd", "dopsd_wrong")
    good = claim(**LAST, must_hold=["described"], must_fail=["dopsd_wrong", "untouched"])
    bad = claim(**LAST, must_hold=["described"], must_fail=["dopsd_wrong", "base"])
    found = asked(cells, good, bad, trained=three)
    assert [answer.verdict for answer in found] == ["holds", "not decidable"]
    says = answers.controls(found)["x1"]
    assert [(c["row"], c["must"], c["did"]) for c in says] == [
        ("described", "hold", True),
        ("dopsd_wrong", "fail", True),
        ("base", "fail", False),
    ]
    assert (
        says[2]["why"] == "its interval contains the bar"
        and says[1]["value"] == pytest.approx(0.1)
        and says[1]["n_units"] == 3
    )
    row = answers.table(found).iloc[0]
    assert row.must_fail == "dopsd_wrong; untouched" and row.failed.count(";") == 1
    assert "must fail: Untouched 0.000 [0.000, 0.000]" in shown(found)


def test_the_control_of_a_difference_stands_in_the_methods_place():
    cells = at_last(
        sft={"blur_read": [1.0, 1.2, 1.4]}, dopsd={"blur_read": [2.0, 2.3, 2.4]}, base={"blur_read": [1.0, 1.1, 1.5]}
    )
    (found,) = asked(cells, claim(**LAST | {"bar": 0.5}, of="difference", must_fail="base"))
    assert found.controls[0].found.values["fresco", 0] == pytest.approx(0.1) and found.controls[0].did
    assert found.verdict == "holds"


def test_a_claim_that_one_turbo_contradicts_is_open():
    agree = at_last(dopsd={"blur_read": [(1.4, 1.6), (1.5, 1.5), (1.6, 1.4)]})
    differ = at_last(dopsd={"blur_read": [(0.9, 2.1), (0.8, 2.2), (1.0, 2.0)]})
    assert verdicts(agree, claim(**LAST), turbos=True) == verdicts(agree, claim(**LAST)) == ["holds"]
    assert verdicts(differ, claim(**LAST)) == ["holds"]  # where seeds are but seeds
    (found,) = asked(differ, claim(**LAST), turbos=True)
    assert found.verdict == "open" and found.found.by_seed == pytest.approx({0: 0.9, 1: 2.1})
    assert verdicts(differ, claim(**LAST | {"bar": 3.0}), turbos=True) == ["fails"]


def test_p_is_of_the_t_test_and_holm_counts_what_is_decidable():
    cells = at_last(
        dopsd={"blur_read": [1.3, 1.6, 1.7], "contrast": [1.0, 1.4, 0.9], "adherence": [0.4, 0.5, 0.7]},
        base={"blur_read": [1.3, 1.6, 1.7]},
    )
    sure, unsure = claim(**LAST), claim(**LAST | {"score": "contrast"})
    share = claim(**LAST | {"score": "adherence", "bar": 0.25})
    undecidable, unmeasured = claim(**LAST, must_fail="base"), claim(**LAST | {"score": "smell"})
    found = asked(cells, sure, unsure, share, undecidable, unmeasured)
    p = [answer.p for answer in found]
    assert p[0] == pytest.approx(stats.ttest_1samp([1.3, 1.6, 1.7], 1.0).pvalue) == p[3] and p[4] is None
    low, middle, high = sorted(p[:3])
    holm = {low: 3 * low, middle: max(3 * low, 2 * middle)}
    holm |= {high: max(holm[middle], high)}
    assert [answer.p_holm for answer in found[:3]] == pytest.approx([holm[x] for x in p[:3]])
    assert [answer.p_holm for answer in found[3:]] == [None, None]
    assert found[2].found.number[2] < 1 and p[2] != pytest.approx(stats.ttest_1samp([0.4, 0.5, 0.7], 0.25).pvalue)


def test_a_bar_off_the_scale_is_said():
    cells = at_last(dopsd={"adherence": [0.4, 0.5, 0.7]})
    with pytest.raises(UserError, match=r"claims\.yaml: x0: bar: 1\.5 is no share"):
        asked(cells, claim(**LAST | {"score": "adherence", "bar": 1.5}))


def test_the_records_say_all_and_are_plain_numbers():
    cells = at_last(dopsd={"blur_read": [(1.4, 1.6), (1.5, 1.5), (1.6, 1.45678912)]})
    known = {f"x{k}": Committed("abc", "2026-01-01", [{"commit": "d"}]) for k in range(2)}
    first, second = answers.records(asked(cells, claim(**LAST, seen="in a pilot"), claim(score="smell")), known)
    keys = "id family claim paper score of at method baseline value low high n_units by_seed bar direction p p_holm verdict"
    assert list(first) == [*keys.split(), "seen", "smallest", "against", "claims_commit", "claims_date", "changes"]
    assert first["by_seed"] == {"0": 1.5, "1": 1.5189} and first["bar"] == 1.0 and first["direction"] == ">="
    assert first["method"] == "dopsd" and first["seen"] == "in a pilot" and first["claims_commit"] == "abc"
    assert first["n_units"] == 3 and second["value"] is None and second["by_seed"] == {} and second["n_units"] == 0


def test_the_stage_writes_answers_and_controls(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    stage.write_claims(asked(at_last(dopsd={"blur_read": [1.4, 1.5, 1.6]}), claim(**LAST, must_fail="base")))
    (record,) = json.loads(Path("reports/claims.json").read_text())
    assert record["id"] == "x0" and record["value"] == 1.5 and record["claims_commit"] == "not known: no git history"
    (control,) = json.loads(Path("reports/controls.json").read_text())["x0"]
    assert control == {"row": "base", "must": "fail", "value": None, "low": None, "high": None, "n_units": 0} | {
        "did": False,
        "why": "not measured",
    }


def test_one_concept_answers_nothing():
    cells = cells_of(concepts=["beacon"], seeds=[0])
    found = asked(cells, claim(must_hold="described"), claim(score="binding", at="last"))
    assert {answer.verdict for answer in found} == {"not decidable"} and found[0].p is None
    text = shown(found)
    assert "[" not in text and "nan" not in text
    assert power(found).empty


def test_one_method_alone_is_not_compared():
    cells = cells_of(methods=["untouched", "described", "dopsd"])
    assert verdicts(cells, claim(), trained=["dopsd"]) == ["not measured"]
    assert verdicts(cells, claim(score="binding", at="last"), trained=["dopsd"]) == ["holds"]


def test_the_shipped_claims_are_asked_of_scores_that_there_are(cells):
    found = asked_of.load(ROOT / "claims.yaml")
    known = {*pairs.pairs(trainings(cells), ["sft"]).score, "binding", "adherence"}
    assert {c.score for c in found} <= known and all(c.must_fail or c.of == "difference" for c in found)


def test_the_smallest_effect_is_what_power_needs():
    cells = at_last(
        dopsd={"blur_read": [1.3, 1.6, 1.9], "adherence": [0.2, 0.5, 0.8], "retention_contrast@4": [0.5, 1, 2]}
    )
    found = asked(
        cells,
        claim(**LAST),
        claim(**LAST | {"score": "adherence", "bar": 0.98}),
        claim(**LAST | {"score": "adherence", "bar": 0.9, "at_most": True}),
        claim(**LAST | {"score": "retention_contrast"}),
        claim(**LAST | {"score": "smell"}),
    )
    table = power(found, 12).set_index(["id", "n"])
    assert set(table.index) == {(f"x{k}", n) for k in range(4) for n in (3, 12)} and set(table.n_pilot) == {3}
    blur = table.loc[("x0", 12)]
    assert blur.sd == pytest.approx(0.3) and blur.smallest_effect == pytest.approx(0.8886543 * 0.3)  # d of n = 12
    assert blur.smallest_on_scale == pytest.approx(blur.smallest_effect)
    assert blur.smallest_effect < table.loc[("x0", 3), "smallest_effect"]
    assert pd.isna(table.loc[("x1", 12), "smallest_effect"])  # no share lies so far above .98
    assert 0 < table.loc[("x2", 12), "smallest_effect"] < 0.9
    ratio = table.loc[("x3", 12)]
    assert ratio.sd == pytest.approx(0.6931472) and ratio.smallest_effect == pytest.approx(2**0.8886543 - 1)
