"""The audit, on answers that pip-audit gave: one with an advisory, one without, one without an index that knows any."""

import json
import subprocess
from types import SimpleNamespace

import pytest

from dopsd.support import audit
from dopsd.support.errors import reported

FOUND = {  # as pip-audit 2.10 answers for jinja2 3.1.2
    "dependencies": [
        {
            "name": "jinja2",
            "version": "3.1.2",
            "vulns": [
                {"id": "PYSEC-2024-1", "fix_versions": ["3.1.3"], "aliases": ["CVE-2024-22195"]},
                {"id": "PYSEC-2024-2", "fix_versions": [], "aliases": []},
            ],
        },
        {"name": "numpy", "version": "2.4.6", "vulns": []},
    ],
    "fixes": [],
}
NONE = {"dependencies": [{"name": "numpy", "version": "2.4.6", "vulns": []}], "fixes": []}
SKIPPED = {
    "dependencies": [
        {"name": "numpy", "skip_reason": "Dependency not found on PyPI and could not be audited: numpy (2.4.6)"}
    ]
}


@pytest.fixture
def answered(tmp_path, monkeypatch, capsys):
    """The audit's status and what it prints, where pip-audit answers so."""
    lock = tmp_path / "requirements.lock"
    lock.write_text("numpy==2.4.6\n")

    def run(answer: object, status: int = 0, said: str = "") -> tuple[int, str, str]:
        asked = []

        def process(command, **_):
            asked.append(command)
            return SimpleNamespace(
                returncode=status, stdout=answer if isinstance(answer, str) else json.dumps(answer), stderr=said
            )

        monkeypatch.setattr(subprocess, "run", process)
        try:
            with reported():
                code = audit.main(lock)
        except SystemExit as stopped:
            code = stopped.code
        assert {"--disable-pip", "--require-hashes", str(lock)} <= set(asked[0])
        return code, *capsys.readouterr()

    return run


def test_an_advisory_is_printed_with_what_mends_it(answered):
    code, out, _ = answered(FOUND, 1)
    assert code == 1 and out.splitlines() == [
        "jinja2 3.1.2: PYSEC-2024-1, CVE-2024-22195; mended in 3.1.3",
        "jinja2 3.1.2: PYSEC-2024-2; mended in no version yet",
    ]


def test_none_is_said(answered):
    assert answered(NONE)[0] == 0 and "no known advisory" in answered(NONE)[1]


def test_what_could_not_be_asked_is_no_clean_bill(answered):
    code, out, err = answered(SKIPPED)
    assert code == 2 and not out and "1 packages could not be looked up (numpy, ...)" in err
    code, out, err = answered("", 1, "Traceback\nrequests.ConnectionError: no route")
    assert code == 2 and "could not be audited (requests.ConnectionError: no route)" in err and not out
    for answer in ("words", "[]", '{"dependencies": [{"version": "1"}]}'):
        code, out, err = answered(answer)
        assert code == 2 and "not an answer of pip-audit's" in err and not out
    both = {"dependencies": FOUND["dependencies"] + SKIPPED["dependencies"]}
    code, out, err = answered(both, 1)
    assert code == 1 and "PYSEC-2024-1" in out and "could not be looked up" in err


def test_a_missing_lock_is_said(tmp_path):
    with pytest.raises(audit.NotAsked, match="missing; run from the repository's root"):
        audit.main(tmp_path / "none.lock")
