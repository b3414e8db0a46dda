"""What is made of the scores of chains: by hand from made-up ones."""

import made_up
import pandas as pd
import pytest

from dopsd.config.claims import Claim, load
from dopsd.config.study import Compared
from dopsd.evaluation.rows import NEW, ORDINARY, OTHER
from dopsd.report import claims, continual
from dopsd.report.palette import colour
from dopsd.report.scales import scale
from dopsd.support.errors import UserError

FEW, MANY = 4, 32
SETS = (("a", "b", "c"), ("d", "e", "f"))
ORDERS = {"-".join(order): order for mine in SETS for order in (mine, mine[::-1])}
TRAINED = ["sft", "dopsd"]
LOST = {"sft": 0.2, "dopsd": 0.1}  # fidelity of a concept with each training after its own
DIM = {"sft": 0.1, "dopsd": 0.0}  # contrast that every training costs
OTHERS = {"untouched": (0.1, 1.0), "described": (0.9, 1.0), "again": (0.1, 1.0), "base": (0.1, 0.5)}


def rows(who, chain, concept, seed, step, fidelity, contrast):
    """Of one concept after one training: a picture a kind of prompts."""
    found = [
        (NEW, "concept_fidelity", fidelity),
        (NEW, "contrast", contrast),
        (OTHER, "concept_fidelity", fidelity / 2),
    ]
    found += [(ORDINARY, "contrast", contrast), (ORDINARY, "retention_kid", 10.0 * step)]
    where = {"method": who, "chain": chain, "concept": concept, "seed": seed, "step": step, "nfe": FEW, "guidance": 0.0}
    where |= {"said": float("nan"), "prompt": "p", "group": "0"}
    return [where | {"kind": kind, "score": score, "value": value} for kind, score, value in found]


def long(trained=TRAINED, seeds=(0, 1)):
    out = []
    for seed in seeds:
        for concept in (c for mine in SETS for c in mine):
            for who, (fidelity, contrast) in OTHERS.items():
                out += rows(who, "", concept, seed, 0, fidelity, contrast)
        for who in trained:
            for chain, order in ORDERS.items():
                for i, concept in enumerate(order):
                    for k in (1, 2, 3):
                        fidelity = 0.8 - LOST[who] * (k - i - 1) if k > i else 0.1
                        out += rows(who, chain, concept, seed, k, fidelity, 1.0 - DIM[who] * k)
    return pd.DataFrame(out)


@pytest.fixture
def measured():
    return continual.measured_of(long(), ORDERS, TRAINED, FEW, MANY)


def at(measured, who, k):
    return measured[0].cells[who, "a-b-c", 1][k]


def test_the_first_the_newest_and_those_taught(measured):
    after_one, after_three = at(measured, "sft", 1), at(measured, "sft", 3)
    assert after_one["first_fidelity"] == after_one["newest_fidelity"] == after_one["taught_fidelity"] == 0.8
    assert after_one["third_fidelity"] == 0.1
    assert after_three["first_fidelity"] == pytest.approx(0.4) and after_three["second_fidelity"] == pytest.approx(0.6)
    assert after_three["newest_fidelity"] == after_three["third_fidelity"] == 0.8
    assert after_three["taught_fidelity"] == pytest.approx(0.6)
    assert after_three["taught_contrast_kept"] == pytest.approx(0.7) and after_three["newest_other_fidelity"] == 0.4
    assert after_three["retention_kid"] == 30 and after_three["retention_contrast"] == pytest.approx(0.7)
    assert at(measured, "untouched", 0)["taught_fidelity"] == pytest.approx(0.1)


def test_changes_are_since_the_first_training_or_since_the_untouched_model(measured):
    assert not [name for name in at(measured, "sft", 1) if name.endswith("_change")]
    row = at(measured, "sft", 3)
    assert row["first_fidelity_change"] == pytest.approx(-0.4)
    assert row["newest_contrast_kept_change"] == pytest.approx(-0.2) and row["newest_fidelity_change"] == 0
    assert at(measured, "base", 0)["newest_contrast_kept_change"] == pytest.approx(-0.5)
    assert (
        at(measured, "again", 0)["first_fidelity_change"] == at(measured, "untouched", 0)["first_fidelity_change"] == 0
    )
    assert scale("first_fidelity_change") == scale("retention_contrast_change") == "plain"
    assert (
        scale("taught_adherence") == scale("newest_other_fidelity") == "share"
        and scale("taught_contrast_kept") == "ratio"
    )


def test_a_sets_orders_are_averaged_and_the_set_is_the_unit(measured):
    table = long()
    table.loc[(table.chain == "c-b-a") & (table.concept == "c") & (table.kind == NEW) & (table.step == 1), "value"] = (
        0.6
    )
    of_sets, chains = continual.measured_of(table, ORDERS, TRAINED, FEW, MANY)
    assert of_sets.cells["sft", "a-b-c", 0][1]["first_fidelity"] == pytest.approx(0.7)
    assert set(of_sets.cells) == {
        (m, s, seed) for m in (*OTHERS, *TRAINED) for s in ("a-b-c", "d-e-f") for seed in (0, 1)
    }
    mine = chains[(chains.method == "sft") & (chains.training == 1)].set_index(["chain", "seed"]).first_fidelity
    assert mine["a-b-c", 0] == 0.8 and mine["c-b-a", 0] == 0.6 and len(mine) == 8
    found = continual.table(of_sets).set_index(["score", "method", "training"])
    one = found.loc[("first_fidelity", "sft", 1)]
    assert one.n == 2 and one.low < one.value < one.high and 0.7 < one.value < 0.8


def test_the_table_has_a_column_a_training_beside_the_rows_without(measured):
    text = continual.markdown(continual.table(measured[0]), "sft", ["untouched", "described"]).splitlines()
    columns = [c.strip() for c in text[0].strip("|").split("|")]
    assert columns == [
        "",
        "Untouched",
        "Untouched, described",
        "after the first",
        "after the second",
        "after the third",
    ]
    first = next(line for line in text if line.startswith("| the first concept: fidelity "))
    values = [c.split()[0] for c in first.strip("| ").split("|")[1:]]
    assert values == ["0.100", "0.900", "0.800", "0.600", "0.400"]


def test_beside_the_papers_numbers_stand_those_after_the_first_and_after_the_last(measured):
    table = continual.table(measured[0])
    text = continual.beside_the_paper(table, [*OTHERS, *TRAINED]).splitlines()[2:]
    told = [[c.strip() for c in line.strip("|").split("|")] for line in text]
    assert [(t[0], t[1]) for t in told] == [
        ("Untouched", "0"),
        ("SFT", "1"),
        ("SFT", "3"),
        ("D-OPSD", "1"),
        ("D-OPSD", "3"),
    ]
    assert told[1][4] == "1.3293" and told[2][4] == "" and told[2][5].startswith("0.60")
    assert continual.beside_the_paper(table, ["nobody"]) == ""


def test_the_figure_has_a_line_a_method_over_the_trainings(measured):
    figure = continual.figure(measured[0], ["untouched", "described"])
    panels = {axes.get_title(): axes for axes in figure.axes if axes.get_title()}
    first = panels["the first concept: fidelity"]
    solid = {line.get_color(): list(line.get_ydata()) for line in first.lines if line.get_linestyle() == "-"}
    assert solid[colour("sft")] == pytest.approx([0.8, 0.6, 0.4])
    assert solid[colour("dopsd")] == pytest.approx([0.8, 0.7, 0.6])
    assert {text.get_text() for text in first.texts} == {"SFT", "D-OPSD", "untouched", "described"}
    assert sum(line.get_linestyle() == ":" for line in first.lines) == 2 and len(first.collections) == 2
    assert continual.figure(continual.measured_of(long([]), ORDERS, [], FEW, MANY)[0], []) is None


def test_claims_are_answered_from_the_sets(measured):
    asked = {"claim": "x", "paper": "x", "against": "x", "at": "last", "must_hold": None, "must_fail": None}
    controlled = {"must_hold": ["base"], "must_fail": ["again"]}
    found = claims.answers(
        [
            Claim(id="less", score="first_fidelity_change", of="difference", bar=0.1, **asked),
            Claim(
                id="dims",
                score="newest_contrast_kept_change",
                of="baseline",
                bar=-0.05,
                at_most=True,
                **asked | controlled,
            ),
        ],
        measured[0],
        dict.fromkeys(ORDERS, "set"),
        Compared(method="dopsd", baseline="sft"),
        turbos=True,
    )
    assert [(a.verdict, a.found.n) for a in found] == [("holds", 2), ("holds", 2)]
    assert found[0].found.number[0] == pytest.approx(0.2) and all(c.did for c in found[1].controls)


def test_a_chain_without_scores_is_said():
    table = long()
    part = table[~((table.chain == "f-e-d") & (table.concept == "e"))]
    with pytest.raises(UserError, match=r"no scores of sft/f-e-d/e/0; run `dvc repro`"):
        continual.measured_of(part, ORDERS, TRAINED, FEW, MANY)


def test_a_claim_that_holds_is_a_sentence():
    records = [made_up.record("good", verdict="holds"), made_up.record("bad", verdict="fails")]
    assert continual.sentences(records) == ["**holds**: claim good: 0.500 [0.400, 0.600], the bar is >= 0.2."]


def test_the_studys_claims_ask_for_what_is_measured(measured, request):
    asked = load(request.config.rootpath / "studies" / "continual" / "claims.yaml", rows=[*OTHERS, *TRAINED])
    of_sets, chains = measured
    assert {claim.score for claim in asked} <= set(chains)
    found = claims.answers(asked, of_sets, dict.fromkeys(ORDERS, "set"), Compared(method="dopsd", baseline="sft"))
    assert all(a.found for a in found) and all(c.found for a in found for c in a.controls)
    did = {(a.claim.id, c.row): c.did for a in found for c in a.controls}
    assert did["keeps-few-steps-after-three", "base"] and did["each-training-costs-few-steps", "again"]
