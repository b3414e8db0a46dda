from pathlib import Path

import pytest
from made_up import CONTROL, record

from dopsd.report import claims_page, page


def test_every_claim_stands_alone_with_its_bar_and_its_controls(study):
    known = {"x": [CONTROL], "y": []}
    records = [record(), record("y", verdict="open", family="remedies", smallest=0.2)]
    text = page.ledger(records, known, study())
    for claim in records:
        section = text.split(f"### {claim['id']}: ")[1].split("### ")[0]
        assert section.startswith(claim["verdict"]) and claim["paper"] in section and claim["against"] in section
        assert claim["claims_commit"][:8] in section
    assert "## comparison" in text and "## remedies" in text and "a distance of 0.2 from the bar" in text
    assert "known before" in text.split("### x: ")[1].split("### ")[0]
    assert "known before" not in text.split("### y: ")[1]


def test_the_counts_are_of_each_family_and_tell_who_survives_the_correction():
    records = [record(p_holm=0.001), record("y", p_holm=0.2), record("z", verdict="fails"), record("a", family="other")]
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in claims_page.counts(records).splitlines()]
    first, other = (dict(zip(rows[0], row, strict=True)) for row in rows[2:])
    assert (first["holds"], first["of these with p <= .05"], first["fails"]) == ("2", "1", "1")
    assert other["family"] == "other" and other["holds"] == "1"


def test_a_study_that_asks_nothing_says_so(study):
    assert "Nothing is asked" in page.ledger([], {}, study())


@pytest.mark.parametrize("where", ["reports", "studies/full/reports"])
def test_the_committed_ledger_has_every_claim(where, request):
    folder = Path(request.config.rootpath, where)
    text = (folder / "CLAIMS.md").read_text(encoding="utf-8")
    assert text.count("\n### ") == (folder / "claims.json").read_text(encoding="utf-8").count('"id": ')
