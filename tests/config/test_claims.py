from pathlib import Path

import pytest

from dopsd.config import claims
from dopsd.support.errors import UserError

ROOT = Path(__file__).parents[2]
ROWS = ("untouched", "described", "base", "sft", "dopsd", "dopsd_wrong")
TEXT = """claims:
  - id: learns
    claim: "{method} learns"
    paper: Table 1
    score: fidelity_gain
    of: method
    bar: 0.2
    must_hold: HOLD
    must_fail: FAIL
    against: less
MORE"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Read claims.yaml with these fields of its claim."""
    monkeypatch.chdir(tmp_path)

    def make(hold="null", fail="null", more="", rows=ROWS):
        more = "".join(f"    {line}\n" for line in more.split("\n") if line)
        Path("claims.yaml").write_text(TEXT.replace("HOLD", hold).replace("FAIL", fail).replace("MORE", more))
        return claims.load(rows=rows)[0]

    return make


def test_controls_are_a_list_one_name_or_none(load):
    found = load("described", "[base, dopsd_wrong]")
    assert found.must_hold == ("described",) and found.must_fail == ("base", "dopsd_wrong")
    assert load().must_hold == () == load("[]").must_hold


def test_what_is_not_said_is_as_it_was(load):
    found = load()
    assert (found.method, found.baseline, found.at, found.concepts, found.seen) == (None, None, "matched", "all", "no")
    found = load(more="method: dopsd_wrong\nat: forwards\nconcepts: style\nseen: in a pilot")
    assert (found.method, found.at, found.concepts, found.seen) == ("dopsd_wrong", "forwards", "style", "in a pilot")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hold": "bse"}, r"claims\.yaml: learns: must_hold: no row is called 'bse'; did you mean 'base'\?"),
        ({"fail": "[base, magic]"}, r"learns: must_fail: no row is called 'magic'; known: untouched, "),
        ({"more": "method: dopsdd"}, r"learns: method: .*did you mean 'dopsd'\?"),
        ({"more": "baseline: sfd"}, r"learns: baseline: .*did you mean 'sft'\?"),
        ({"hold": "base", "fail": "[sft, base]"}, r"must_hold and must_fail name the same row, base"),
        ({"fail": "[base, base]"}, r"must_fail names a row twice"),
        ({"hold": "3"}, r"claims\.0\.must_hold"),
        ({"more": "seen: ''"}, r"claims\.0\.seen"),
        ({"more": "at: twice"}, r"claims\.0\.at: .*'forwards'"),
        ({"more": "concepts: look"}, r"claims\.0\.concepts"),
    ],
)
def test_what_is_wrong_is_said(load, fields, message):
    with pytest.raises(UserError, match=message):
        load(**fields)


def test_a_text_names_no_other_rows(tmp_path):
    text = TEXT.replace("HOLD", "null").replace("FAIL", "null").replace("MORE", "")
    for wrong in ("{methd} learns", "{0} learns", "it } learns"):
        (tmp_path / "claims.yaml").write_text(text.replace("{method} learns", wrong))
        with pytest.raises(UserError, match=r"claims\.0\.claim: only \{method\} and \{baseline\} may stand in braces"):
            claims.load(tmp_path / "claims.yaml")


def test_rows_are_looked_at_where_they_are_known(load):
    assert load("nobody", rows=None).must_hold == ("nobody",)


def test_a_study_needs_no_claims_and_the_shipped_ones_are_valid(tmp_path):
    assert claims.load(tmp_path / "claims.yaml") == ()
    assert len(claims.load(ROOT / "claims.yaml", ROWS)) == 10
